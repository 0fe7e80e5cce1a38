import { DuckDBScalarFunction, type DuckDBConnection, type DuckDBType, type DuckDBValue } from '@duckdb/node-api';

/** A function of JavaScript: NULL in any argument is NULL, without a call, unless it takes NULLs. */
export type Scalar = {
  name: string;
  parameters: DuckDBType[];
  returns: DuckDBType;
  takesNulls?: true;
  call: (...args: DuckDBValue[]) => DuckDBValue;
  /** For a function of ANY, whose meaning is in the argument's type. */
  typed?: (value: DuckDBValue, type: DuckDBType) => DuckDBValue;
};

/** Names of the functions that a database instance has, whichever of its connections they came by: DuckDB refuses a name twice. */
export type Registered = Set<string>;

/** Registers what of `scalars` the database instance does not have yet. */
export function registerMissing(
  connection: DuckDBConnection,
  scalars: readonly Scalar[],
  registered: Registered,
): void {
  for (const scalar of scalars) {
    if (registered.has(scalar.name)) continue;
    registerScalar(connection, scalar);
    registered.add(scalar.name);
  }
}

function registerScalar(connection: DuckDBConnection, scalar: Scalar): void {
  connection.registerScalarFunction(
    DuckDBScalarFunction.create({
      name: scalar.name,
      parameterTypes: scalar.parameters,
      returnType: scalar.returns,
      specialHandling: scalar.takesNulls ?? false,
      mainFunction: (info, chunk, output) => {
        try {
          const columns = scalar.parameters.map((_, index) => chunk.getColumnVector(index));
          for (let row = 0; row < chunk.rowCount; row += 1) {
            const args = columns.map((column) => column.getItem(row));
            const [column] = columns;
            // DuckDB fills in NULLs for a function only where all its arguments are constants.
            if (!scalar.takesNulls && args.includes(null)) {
              output.setItem(row, null);
              continue;
            }
            output.setItem(
              row,
              scalar.typed && column ? scalar.typed(args[0] ?? null, column.type) : scalar.call(...args),
            );
          }
          output.flush();
        } catch (error) {
          info.setError(error instanceof Error ? error.message : String(error));
        }
      },
    }),
  );
}
