/**
 * violation.ts: a rule that did not hold, where and when.
 */
export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly detail: string;
}

export type Report = (violation: Violation) => void;
