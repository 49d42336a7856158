/**
 * row-texts.ts: the JSON of a row, made once for all its readers.
 *
 * A row never changes once it is in the store, and most are read far more often than written. So its text is kept for as
 * long as the row itself lives, and a list is its rows' texts one after another.
 */
import { goJson, type JsonValue } from '@fed/fsm';

export interface RowTexts<T extends object> {
  json(row: T): JsonValue;
  /** Without ?pretty. */
  bytes(row: T): Buffer;
}

export function rowTexts<T extends object>(json: (row: T) => JsonValue): RowTexts<T> {
  const kept = new WeakMap<T, Buffer>();
  return {
    json,
    bytes: (row) => {
      const known = kept.get(row);
      if (known !== undefined) return known;
      const made = Buffer.from(goJson(json(row)));
      // What could still change is not the store's.
      if (Object.isFrozen(row)) kept.set(row, made);
      return made;
    },
  };
}

/** Rows and how they are shown. */
export interface RowList {
  pretty(): JsonValue;
  bytes(): Buffer;
}

const [opening, comma, closing] = [Buffer.from('['), Buffer.from(','), Buffer.from(']')];

/** Of a list that is the same object in every answer. */
const lists = new WeakMap<readonly object[], Buffer>();

export function rowList<T extends object>(rows: readonly T[], texts: RowTexts<T>): RowList {
  return {
    pretty: () => rows.map(texts.json),
    bytes: () => {
      const known = lists.get(rows);
      if (known !== undefined) return known;
      const parts = rows.flatMap((row, at) => (at === 0 ? [texts.bytes(row)] : [comma, texts.bytes(row)]));
      const made = Buffer.concat([opening, ...parts, closing]);
      if (Object.isFrozen(rows)) lists.set(rows, made);
      return made;
    },
  };
}
