/**
 * unwrap-blocks.ts: HCL's blocks as the schema wants them: a list where there may be several, else the one map itself.
 *
 * Lives here: walking document and schema side by side. Must not live here: which keys there are (schema.ts).
 */
import { z } from 'zod';
import type { HclMap, HclValue } from './hcl.ts';

/** Changes `value` in place. A block that stands twice where only one may is left as it is, for the schema to refuse. */
export function unwrapBlocks(value: HclMap, schema: z.core.$ZodType): void {
  const plain = bare(schema);
  for (const [key, below] of Object.entries(value)) {
    const wanted = below === null ? undefined : schemaOf(plain, key);
    if (wanted !== undefined) value[key] = unwrapped(below, wanted);
  }
}

function unwrapped(value: HclValue, schema: z.core.$ZodType): HclValue {
  const wanted = bare(schema);
  if (Array.isArray(value)) {
    if (wanted instanceof z.ZodArray) {
      for (const item of value) if (isMap(item)) unwrapBlocks(item, wanted.element);
      return value;
    }
    const [only] = value as readonly HclValue[];
    return value.length === 1 && isMap(only) ? unwrapped(only, wanted) : value;
  }
  if (isMap(value)) unwrapBlocks(value, wanted);
  return value;
}

function schemaOf(schema: z.core.$ZodType, key: string): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return (schema.shape as Readonly<Record<string, z.core.$ZodType>>)[key];
  return schema instanceof z.ZodRecord ? schema.valueType : undefined;
}

function bare(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional ? bare(schema.unwrap()) : schema;
}

function isMap(value: HclValue | undefined): value is HclMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
