/** The peer of bench/cold-start.ts: a function that does nothing, on the same framework, machine and Node. */
export function bare(event: object): void {
  void event;
}
