import { ApiError } from '../http.ts';

/** `undefined` where the request sets no such condition. */
export type Preconditions = {
  generationMatch: number | undefined;
  generationNotMatch: number | undefined;
  metagenerationMatch: number | undefined;
  metagenerationNotMatch: number | undefined;
};

/** Reads `ifGenerationMatch` and its kin, or `ifSourceGenerationMatch` and its. Throws 400 for what is not a number. */
export function readPreconditions(query: URLSearchParams, prefix: 'if' | 'ifSource' = 'if'): Preconditions {
  return {
    generationMatch: readNumber(query, `${prefix}GenerationMatch`),
    generationNotMatch: readNumber(query, `${prefix}GenerationNotMatch`),
    metagenerationMatch: readNumber(query, `${prefix}MetagenerationMatch`),
    metagenerationNotMatch: readNumber(query, `${prefix}MetagenerationNotMatch`),
  };
}

/** A whole number from the query. Throws 400 for anything else. */
export function readNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,16}$/.test(text)) {
    throw new ApiError(400, 'invalid', `Invalid value for ${name}: '${text}'; expected a whole number`);
  }
  return Number(text);
}

/**
 * Throws 412 where `current` does not meet the conditions, 304 where a read asks "unless it is still this one".
 * No live object counts as generation 0: "makes the operation succeed only if there are no live versions of the object".
 */
export function checkPreconditions(
  conditions: Preconditions,
  current: { generation?: number; metageneration: number } | undefined,
  purpose: 'read' | 'write',
): void {
  const generation = current ? current.generation : 0;
  const { generationMatch, generationNotMatch, metagenerationMatch, metagenerationNotMatch } = conditions;
  if (generationMatch !== undefined && generationMatch !== generation) throw conditionNotMet(412);
  if (metagenerationMatch !== undefined && metagenerationMatch !== current?.metageneration) throw conditionNotMet(412);
  const unchanged = purpose === 'read' ? 304 : 412;
  if (generationNotMatch !== undefined && generationNotMatch === generation) throw conditionNotMet(unchanged);
  if (metagenerationNotMatch !== undefined && metagenerationNotMatch === current?.metageneration) {
    throw conditionNotMet(unchanged);
  }
}

function conditionNotMet(status: 304 | 412): ApiError {
  return new ApiError(status, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
}
