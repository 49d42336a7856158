/** version.ts: what this program calls itself, to people and in the `build` tag. */
export const version = '0.1.0';

/** Consul's servers ask for at least 1.6.0 before they speak of certificates, and read this tag as `version:commit`. */
export const buildTag = '1.9.8:fed';
