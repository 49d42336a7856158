/**
 * names.ts: bounds of what clients call things, so that no row grows without end.
 *
 * Source of the metadata rules: Consul agent/structs/structs.go (ValidateMetadata).
 */
import { RegistrationError } from './decode.ts';

/** Longest id or name of a node, service or check, in characters: four labels of DNS, and what a URL can carry. */
const nameCharsMax = 255;
const metaPairsMax = 64;
const metaKeyCharsMax = 128;
const metaValueCharsMax = 512;

/** The name, when it is one. Throws RegistrationError naming `what`. */
export function checkName(what: string, name: string): string {
  if (name.length > nameCharsMax)
    throw new RegistrationError(`Invalid ${what}: it is too long (limit: ${nameCharsMax} characters)`);
  // Tables are keyed by names with this character between them.
  if (name.includes('\0')) throw new RegistrationError(`Invalid ${what}: it holds a zero byte`);
  return name;
}

/** Keys with the prefix `consul-` are the system's; the one a user may set makes a gateway part of the federation. */
export function checkServiceMeta(meta: Readonly<Record<string, string>>, kind: string): void {
  const entries = Object.entries(meta);
  if (entries.length > metaPairsMax)
    throw new RegistrationError(
      `Invalid Service Meta: Node metadata cannot contain more than ${metaPairsMax} key/value pairs`,
    );
  for (const [key, value] of entries) {
    const refuse = (why: string): never => {
      throw new RegistrationError(
        `Invalid Service Meta: Couldn't load metadata pair ('${key}', '${value}'): ${why}`,
      );
    };
    if (key === '') refuse('Key cannot be blank');
    if (!/^[a-zA-Z0-9_-]+$/.test(key)) refuse('Key contains invalid characters');
    if (key.length > metaKeyCharsMax) refuse(`Key is too long (limit: ${metaKeyCharsMax} characters)`);
    if (value.length > metaValueCharsMax)
      refuse(`Value is too long (limit: ${metaValueCharsMax} characters)`);
    if (key.startsWith('consul-') && !(key === 'consul-wan-federation' && kind === 'mesh-gateway'))
      refuse("Key prefix 'consul-' is reserved for internal use");
  }
}
