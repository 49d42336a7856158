/**
 * parameters.ts: small readings of a request that several endpoints share.
 */
import { RegistrationError } from '../agent/decode.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export const get = (path: string, handle: HttpRoute['handle']): HttpRoute => ({
  method: 'GET',
  path,
  handle,
});
export const put = (path: string, handle: HttpRoute['handle']): HttpRoute => ({
  method: 'PUT',
  path,
  handle,
});

/**
 * Clients from before Consul 1.0 send these with GET, and Debian still has one. A browser must not be talked into it by a
 * page that only shows a picture.
 */
export function putOrGet(path: string, handle: HttpRoute['handle']): readonly HttpRoute[] {
  const guarded: HttpRoute['handle'] = (request) => {
    if (request.fromBrowser) throw new HttpError(405, 'method GET not allowed');
    return handle(request);
  };
  return [put(path, handle), get(path, guarded)];
}

/** What the path holds after its fixed part; empty when it ends there. */
export function rest(request: HttpRequest): string {
  return request.params['*'] ?? '';
}

export function truthy(request: HttpRequest, key: string): boolean {
  const value = request.query.get(key);
  return value !== null && value !== '0' && value !== 'false';
}

/** As Go reads a bool; undefined for what it does not take. */
export function goBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  return ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text) ? false : undefined;
}

/** `?enable=true|false`, which must be there. Throws HttpError 400. */
export function enable(request: HttpRequest): boolean {
  const text = request.query.get('enable');
  if (text === null) throw new HttpError(400, 'Missing value for enable');
  const value = goBool(text);
  if (value === undefined) throw new HttpError(400, `Invalid value for enable: ${JSON.stringify(text)}`);
  return value;
}

/** Runs `read`; a body that is not what it should be is HTTP 400. */
export function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RegistrationError) throw new HttpError(400, error.message);
    throw error;
  }
}
