/**
 * source.ts: one entry of `primary_gateways`: what kind of place addresses come from.
 *
 *   10.0.0.1:8443, [2001:db8::1]   an address
 *   gw.example.com[:port]          a DNS name: all its A and AAAA records
 *   srv+_gw._tcp.example.com       an SRV name: its targets and their ports
 *   file:/etc/fed/gateways         a file with one of the above per line; `#` begins a comment
 * Lives here: reading entries. Must not live here: resolving them (discovery.ts).
 */
import { isIP } from 'node:net';
import { AddressError, isHost, parseGatewayAddress } from './address.ts';
import type { HostPort } from './ports.ts';

export type AddressSource =
  | { readonly kind: 'literal'; readonly address: HostPort }
  | { readonly kind: 'name'; readonly host: string; readonly port: number }
  | { readonly kind: 'srv'; readonly name: string };
export type EntrySource = AddressSource | { readonly kind: 'file'; readonly path: string };

/** Lines of a file that are read; whoever needs more should publish a DNS name. */
const fileLinesMax = 256;

/** Throws AddressError, naming the entry. */
export function parseEntry(entry: string): EntrySource {
  const text = entry.trim();
  if (!text.startsWith('file:')) return parseAddressSource(text);
  const path = text.slice('file:'.length);
  if (path === '') throw new AddressError('empty', text, 'write file:PATH');
  return { kind: 'file', path };
}

function parseAddressSource(text: string): AddressSource {
  if (text.startsWith('srv+')) {
    const name = text.slice('srv+'.length);
    if (!isHost(name) || isIP(name) !== 0) throw new AddressError('bad_host', text, 'write srv+NAME');
    return { kind: 'srv', name };
  }
  const address = parseGatewayAddress(text);
  return isIP(address.host) === 0 ? { kind: 'name', ...address } : { kind: 'literal', address };
}

/** The entries of a file: what could be read, and an error for each line that could not. */
export function parseFile(text: string): {
  readonly sources: readonly AddressSource[];
  readonly errors: readonly AddressError[];
} {
  const sources: AddressSource[] = [];
  const errors: AddressError[] = [];
  for (const line of text.split(/\r?\n/, fileLinesMax)) {
    const entry = line.replace(/#.*/, '').trim();
    if (entry === '') continue;
    try {
      sources.push(parseAddressSource(entry));
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      errors.push(error);
    }
  }
  return { sources, errors };
}
