/**
 * monitor.ts: GET /v1/agent/monitor: the log as it is written, for as long as the client listens.
 *
 * Source: Consul agent/agent_endpoint.go (AgentMonitor); hashicorp/go-hclog for how a line looks.
 */
import { need } from '../acl/access.ts';
import { type LogLevel, logLevels } from '../log-sink.ts';
import { get } from './parameters.ts';
import { HttpError, type HttpRoute } from './server.ts';

export interface MonitorOptions {
  readonly nodeName: string;
  readonly watch: (level: LogLevel, put: (line: string) => void) => Disposable;
}

export function monitorRoutes(o: MonitorOptions): readonly HttpRoute[] {
  return [
    get('/v1/agent/monitor', async (request) => {
      need(request.authorizer(), 'agent', o.nodeName, 'read');
      const asked = request.query.get('loglevel') || 'info';
      const level = logLevels.find((known) => known === asked.toLowerCase());
      if (level === undefined) throw new HttpError(400, `Bad request: Unknown log level: ${asked}`);
      const shape = request.query.has('logjson') ? asJson : asText;
      await request.stream('text/plain; charset=utf-8', (put) => o.watch(level, (line) => put(shape(line))));
      return { text: '' };
    }),
  ];
}

interface Line {
  readonly level: string;
  readonly time: string;
  readonly room?: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** `2026-11-27T17:39:47.813Z [WARN]  agent.wan: it rains: code=wet`, as the original's own log looks. */
export function asText(line: string): string {
  const { level, time, room, msg = '', ...fields } = JSON.parse(line) as Line;
  const tag = `[${level.toUpperCase()}]`.padEnd(7);
  const said = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`);
  return `${time} ${tag} ${module(room)}: ${msg}${said.length === 0 ? '' : ':'}${said.join('')}\n`;
}

export function asJson(line: string): string {
  const { level, time, room, msg = '', ...fields } = JSON.parse(line) as Line;
  return `${JSON.stringify({ '@level': level, '@message': msg, '@module': module(room), '@timestamp': time, ...fields })}\n`;
}

function module(room: string | undefined): string {
  return room === undefined ? 'agent' : `agent.${room}`;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
