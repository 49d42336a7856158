/**
 * binding.ts: a port that cannot be had is the operator's to mend, so the error names the configuration key.
 */
import { ConfigError } from './config/config.ts';

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program; stop that, or choose another port',
  EACCES: 'may not be used by this user; choose a port above 1023',
  EADDRNOTAVAIL: 'is not an address of this machine; correct bind_addr, client_addr or addresses',
};

/** Runs `open`; an error of listening becomes a ConfigError about `key`. */
export async function binding<T>(
  key: string,
  bind: { readonly host: string; readonly port: number },
  open: () => Promise<T>,
): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const reason = reasons[systemCode(error) ?? ''];
    if (reason === undefined) throw error;
    throw new ConfigError([`${key}: ${bind.host}:${bind.port} ${reason}`]);
  }
}

/** The operating system's word for it, however deep in the causes; grpc-js only quotes it. */
function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (code !== undefined && code in reasons) return code;
    const quoted = /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL)\b/.exec(at.message)?.[1];
    if (quoted !== undefined) return quoted;
  }
  return undefined;
}
