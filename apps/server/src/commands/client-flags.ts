/**
 * client-flags.ts: how every command that asks a server is told which, and with what right.
 */
import type { Command } from 'commander';
import { type Client, type ClientFlags, createClient } from './http-client.ts';

export function withServer(command: Command): Command {
  return command
    .option('--http-addr <address>', 'the server to ask (else CONSUL_HTTP_ADDR, else 127.0.0.1:8500)')
    .option('--token <secret>', 'the token to ask with (else CONSUL_HTTP_TOKEN)')
    .option('--token-file <file>', 'a file that holds it (else CONSUL_HTTP_TOKEN_FILE)')
    .option('--ca-file <file>', 'for https: the authority of the server (else CONSUL_CACERT)')
    .option('--client-cert <file>', 'for https: our certificate (else CONSUL_CLIENT_CERT)')
    .option('--client-key <file>', 'for https: its key (else CONSUL_CLIENT_KEY)')
    .option('--tls-server-name <name>', 'for https: the name to expect (else CONSUL_TLS_SERVER_NAME)');
}

export function withDatacenter(command: Command): Command {
  return withServer(command).option('--datacenter <name>', 'the datacenter whose answer is wanted');
}

/** An action for commander: a client made of the flags, the flags, the words behind them. */
export function asking(
  what: (client: Client, flags: Readonly<Record<string, unknown>>, args: readonly string[]) => Promise<void>,
): (...all: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const flags = command.opts<ClientFlags & Record<string, unknown>>();
    await what(createClient(flags), flags, command.args);
  };
}
