/**
 * load.ts: configuration files read, checked one by one, and laid over one another.
 *
 * `*.hcl` is HCL, anything else JSON. Later files win for single values, lists grow in order (flags first, as the original does). Every complaint names
 * the file and the key, of HCL also the line. Must not live here: what a value means (schema.ts, config.ts).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { ConfigError } from './config.ts';
import { HclError, parseHcl } from './hcl.ts';
import { type FileConfig, fileSchema } from './schema.ts';
import { unwrapBlocks } from './unwrap-blocks.ts';

/** Files as named; of a folder every `*.json` and `*.hcl` in name order. Throws ConfigError. */
export function loadFiles(paths: readonly string[], flags: FileConfig = {}): FileConfig {
  const problems: string[] = [];
  const layers: FileConfig[] = [];
  for (const path of paths.flatMap((path) => expand(path, problems))) {
    const parsed = parseFile(path, problems);
    if (parsed !== undefined) layers.push(parsed);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  // Flags win over files for single values, and come before them in lists.
  return overlay(
    layers.reduce<FileConfig>((base, over) => overlay(base, over), {}),
    flags,
    true,
  );
}

/** Exported for tests: one document under the name it is complained about. */
export function parseDocument(
  name: string,
  document: unknown,
  problems: string[],
  lineOf: (path: readonly PropertyKey[]) => number | undefined = () => undefined,
): FileConfig | undefined {
  const result = fileSchema.safeParse(document);
  if (result.success) return result.data;
  for (const issue of result.error.issues)
    for (const { path, problem } of explain(issue)) {
      const line = lineOf(path);
      problems.push(`${name}${line === undefined ? '' : `:${line}`}: ${problem}`);
    }
  return undefined;
}

/** Exported for tests: the same for a text in HCL. */
export function parseHclDocument(name: string, text: string, problems: string[]): FileConfig | undefined {
  try {
    const { root, lineOf } = parseHcl(text);
    unwrapBlocks(root, fileSchema);
    return parseDocument(name, root, problems, lineOf);
  } catch (error) {
    if (!(error instanceof HclError)) throw error;
    problems.push(`${name}:${error.line}: not HCL: ${error.message}`);
    return undefined;
  }
}

function parseFile(path: string, problems: string[]): FileConfig | undefined {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
  if (path.endsWith('.hcl')) return parseHclDocument(path, content, problems);
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch (error) {
    problems.push(`${path}: not JSON: ${(error as Error).message}`);
    return undefined;
  }
  return parseDocument(path, document, problems);
}

function expand(path: string, problems: string[]): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => /\.(?:json|hcl)$/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    problems.push(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return [];
  }
}

function explain(
  issue: z.core.$ZodIssue,
): readonly { readonly path: readonly PropertyKey[]; readonly problem: string }[] {
  const { path } = issue;
  const at = path.join('.');
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        problem: `invalid config key '${[...path, key].join('.')}'`,
      }));
    case 'invalid_type':
      return [{ path, problem: `'${at}' must be of type ${issue.expected}` }];
    default:
      return [{ path, problem: `'${at}': ${issue.message}` }];
  }
}

/** `over` on top of `base`. Objects merge, lists join (`over` first when `listsFirst`), the rest is replaced. */
function overlay(base: FileConfig, over: FileConfig, listsFirst = false): FileConfig {
  const merge = (a: unknown, b: unknown): unknown => {
    if (b === undefined) return a;
    if (Array.isArray(a) && Array.isArray(b)) return listsFirst ? [...b, ...a] : [...a, ...b];
    if (isObject(a) && isObject(b)) {
      const out: Record<string, unknown> = { ...a };
      for (const [key, value] of Object.entries(b)) out[key] = merge(a[key], value);
      return out;
    }
    return b;
  };
  return merge(base, over) as FileConfig;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
