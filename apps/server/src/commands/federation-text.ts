/**
 * federation-text.ts: the federation for people: a line per datacenter, and how one of them is reached.
 *
 * Lives here: words. Must not live here: asking (client-commands.ts).
 */
import type { DatacenterRow, FederationView } from '../status/federation-view.ts';
import { table } from './http-client.ts';

const ago = (ms: number | null): string => (ms === null ? '-' : `${span(ms)} ago`);

function span(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)}h` : `${Math.round(seconds / 86_400)}d`;
}

export function federationText({ datacenter, primary, troubles, datacenters }: FederationView): string {
  const rows = Object.entries(datacenters).map(([name, row]) => {
    const { members, federationState, route } = row;
    const best = route?.candidates[0];
    return [
      `${name}${row.primary ? ' (primary)' : ''}`,
      row.own ? 'own' : (row.mode ?? '-'),
      row.direction ?? '-',
      ago(row.reachedMsAgo),
      ago(row.heardMsAgo),
      `${members.alive}/${members.failed}`,
      federationState === null ? '-' : `${federationState.healthy}/${federationState.gateways}`,
      federationState === null ? '-' : span(federationState.ageMs),
      row.certificateDaysLeft === null ? '-' : `${row.certificateDaysLeft}d`,
      best === undefined
        ? '-'
        : `${best.gateway.host}:${best.gateway.port} ${best.standing}, score ${best.badness}${more(row)}`,
    ];
  });
  const head = [
    'DC',
    'Mode',
    'Works',
    'Reached',
    'Heard',
    'Alive/Failed',
    'Gateways',
    'State age',
    'Certificate',
    'First candidate',
  ];
  const lines = [`seen from ${datacenter}, primary ${primary}`, table([head, ...rows])];
  if (troubles.length > 0) lines.push('', 'To be mended:', ...troubles.map((t) => `  [${t.code}] ${t.text}`));
  return lines.join('\n');
}

function more({ route }: DatacenterRow): string {
  const others = (route?.candidates.length ?? 0) - 1;
  return others > 0 ? ` (and ${others} more)` : '';
}

export function explanationText(name: string, row: DatacenterRow): string {
  if (row.route === null) return `${name}: our own datacenter; nothing leads there but the local network`;
  const { members, federationState: state } = row;
  const works = {
    both: 'works in both directions',
    out: 'we reach it, and it does not reach us',
    in: 'it reaches us, and we do not reach it',
    none: 'nothing came through lately in either direction',
  }[row.direction ?? 'none'];
  return [
    row.route.text,
    `  ${works}: reached ${ago(row.reachedMsAgo)}, heard ${ago(row.heardMsAgo)}${row.tryingToMeet ? '; trying to meet it' : ''}`,
    `  members: ${members.alive} alive, ${members.failed} failed, ${members.left} left`,
    state === null
      ? '  its federation state is not known here'
      : `  its federation state names ${state.gateways} gateways, ${state.healthy} healthy, and is ${span(state.ageMs)} old`,
    ...(row.certificateDaysLeft === null
      ? []
      : [`  its certificate is valid for ${row.certificateDaysLeft} days`]),
  ].join('\n');
}
