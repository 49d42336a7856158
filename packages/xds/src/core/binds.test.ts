import { describe, expect, test } from 'vitest';
import { taggedOf, vector, worldOf } from '../../test/scenario.ts';
import { listenerBinds } from './binds.ts';
import { clustersOf } from './clusters.ts';
import { describeGateway } from './ir.ts';
import { listenersOf } from './listeners.ts';
import { parseOptions } from './options.ts';
import { upstream } from './profile.ts';
import type { GatewayRegistration } from './world.ts';

const { taggedAddresses, cases } = vector<{
  taggedAddresses: Record<string, { address: string; port: number }>;
  cases: {
    id: string;
    address: string;
    port: number;
    config: Record<string, unknown>;
    listeners: string[];
    statPrefixExample?: string;
    clusterConnectTimeout?: string;
    why?: string;
  }[];
}>('listener-bind-variants');

describe('listener binds', () => {
  for (const c of cases)
    test(c.id, () => {
      const base = worldOf('golden-dc1-gw1a');
      const gateway = {
        ...base.gateway,
        Address: c.address,
        Port: c.port,
        TaggedAddresses: taggedOf(taggedAddresses),
        Proxy: { Config: c.config as NonNullable<GatewayRegistration['Proxy']>['Config'] },
      };
      const ir = describeGateway({ ...base, gateway }, upstream);
      const listeners = listenersOf(ir);
      expect(listeners.map((l) => l.name)).toEqual(c.listeners);
      const text = JSON.stringify(listeners.map((l) => l.message));
      if (c.statPrefixExample !== undefined) expect(text).toContain(`"${c.statPrefixExample}"`);
      if (c.id === 'ipv6') expect(text).toContain('"address":"fd00::21"');
      if (c.id === 'nothing-to-bind') expect(ir.notices.map((n) => n.code)).toEqual(['nothing_to_bind']);
      if (c.clusterConnectTimeout !== undefined)
        expect(clustersOf(ir).find((r) => r.name === 'server.dc2.consul')!.message).toMatchObject({
          connectTimeout: c.clusterConnectTimeout,
        });
    });

  test('one port on all addresses and on one of them: told, since only one socket will open', () => {
    const config = {
      envoy_gateway_no_default_bind: true,
      envoy_gateway_bind_addresses: {
        a: { address: '0.0.0.0', port: 8443 },
        b: { address: '10.0.0.1', port: 8443 },
      },
    };
    const gateway = { ID: 'g', Service: 'g', Address: '', Port: 1 };
    const { notices } = listenerBinds(gateway, parseOptions(config).options);
    expect(notices.map((n) => n.code)).toEqual(['overlapping_binds']);
  });
});
