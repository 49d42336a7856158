import { expect, test } from 'vitest';
import { Metrics } from './metrics.ts';

test('metrics: unlike labels are counted apart, even if one value looks like two labels', () => {
  const metrics = new Metrics();
  metrics.count('asked', { datacenter: 'dc2', hop: 'tls' });
  metrics.count('asked', { datacenter: 'dc2', hop: 'tls' });
  metrics.count('asked', { datacenter: 'dc2 hop=3:tls' });
  metrics.count('asked');
  expect(metrics.read().filter((m) => m.name === 'asked')).toEqual([
    { name: 'asked', labels: { datacenter: 'dc2', hop: 'tls' }, kind: 'counter', value: 2 },
    { name: 'asked', labels: { datacenter: 'dc2 hop=3:tls' }, kind: 'counter', value: 1 },
    { name: 'asked', kind: 'counter', value: 1 },
  ]);
});
