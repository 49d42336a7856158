import { expect, test } from 'vitest';
import { Counters } from './counters.ts';

test('counters: Prometheus text with Envoy’s names, one TYPE line per family, labels escaped', () => {
  const counters = new Counters();
  counters.add('cluster.upstream_cx_total', 'a"b\\c\nd');
  counters.add('cluster.upstream_cx_total', 'x', 2);
  counters.add('tls_inspector.tls_found');
  counters.set('server.live', '', 1);
  counters.observe('cluster.upstream_cx_connect_ms', 'x', 3);
  counters.observe('cluster.upstream_cx_connect_ms', 'x', 4);
  expect(counters.text()).toBe(
    [
      '# TYPE envoy_tls_inspector_tls_found counter',
      'envoy_tls_inspector_tls_found 1',
      '# TYPE envoy_cluster_upstream_cx_total counter',
      'envoy_cluster_upstream_cx_total{envoy_cluster_name="a\\"b\\\\c\\nd"} 1',
      'envoy_cluster_upstream_cx_total{envoy_cluster_name="x"} 2',
      '# TYPE envoy_server_live gauge',
      'envoy_server_live 1',
      '# TYPE envoy_cluster_upstream_cx_connect_ms summary',
      'envoy_cluster_upstream_cx_connect_ms_sum{envoy_cluster_name="x"} 7',
      'envoy_cluster_upstream_cx_connect_ms_count{envoy_cluster_name="x"} 2',
      '',
    ].join('\n'),
  );
});

test('counters: series of clusters that left are forgotten, those of other groups are not', () => {
  const counters = new Counters();
  counters.add('cluster.upstream_cx_total', 'old');
  counters.add('cluster.upstream_cx_total', 'new');
  counters.observe('cluster.upstream_cx_length_ms', 'old', 1);
  counters.add('tcp.downstream_cx_total', 'old');
  counters.keepOnly('cluster', new Set(['new']));
  const text = counters.text();
  expect(text).not.toContain('envoy_cluster_name="old"');
  expect(text).toContain('envoy_cluster_name="new"');
  expect(text).toContain('envoy_tcp_prefix="old"');
});
