import { describe, expect, test } from 'vitest';
import { parseCommandLine, withDoubleDashes } from './command-line.ts';
import { readConfig, UsageError } from './config.ts';

const config = (args: string, env: Record<string, string> = {}) =>
  readConfig(parseCommandLine(args === '' ? [] : args.split(' '), { exitOverride: true }), env);

describe('command line', () => {
  test('defaults', () => {
    expect(config('')).toEqual({
      service: 'mesh-gateway',
      id: 'mesh-gateway',
      register: true,
      exposeServers: false,
      bindAddresses: [],
      proxyProtocol: false,
      httpUrls: ['http://127.0.0.1:8500'],
      adminBind: { host: '127.0.0.1', port: 19_000 },
      dataPlane: 'embedded',
      bootstrapOnly: false,
      ignoreEnvoyCompatibility: false,
      envoyArgs: [],
      deregisterAfterCritical: '6h',
      deregisterOnExit: false,
      drainMs: 5_000,
      logLevel: 'info',
    });
  });

  test('every flag', () => {
    const args =
      '--expose-servers --http-addr 10.0.0.1:8500 --address 127.0.0.1:8443 --wan-address gw.example.com:443 ' +
      '--bind-address all=0.0.0.0:8443 --bind-address six=[::1]:0 --proxy-protocol --service edge --proxy-id edge-1 --node-name n1 ' +
      '--grpc-addr http://10.0.0.1:8502/ --token t --admin-bind 127.0.0.1:0 --data-plane envoy --concurrency 4 ' +
      '--envoy-binary /opt/envoy --ignore-envoy-compatibility ' +
      '--deregister-after-critical 1h30m --deregister-on-exit --drain-time 1m0.5s --log-level debug -- --component-log-level upstream:debug';
    expect(config(args)).toEqual({
      service: 'edge',
      id: 'edge-1',
      nodeName: 'n1',
      register: true,
      exposeServers: true,
      address: { host: '127.0.0.1', port: 8_443 },
      wanAddress: { host: 'gw.example.com', port: 443 },
      bindAddresses: [
        { name: 'all', host: '0.0.0.0', port: 8_443 },
        { name: 'six', host: '::1', port: 0 },
      ],
      proxyProtocol: true,
      httpUrls: ['http://10.0.0.1:8500'],
      grpc: { target: '10.0.0.1:8502', tls: false },
      token: 't',
      adminBind: { host: '127.0.0.1', port: 0 },
      dataPlane: 'envoy',
      concurrency: 4,
      bootstrapOnly: false,
      envoyBinary: '/opt/envoy',
      ignoreEnvoyCompatibility: true,
      envoyArgs: ['--component-log-level', 'upstream:debug'],
      deregisterAfterCritical: '1h30m',
      deregisterOnExit: true,
      drainMs: 60_500,
      logLevel: 'debug',
    });
  });

  test('the original’s single-dash form means the same', () => {
    const args = '-gateway=mesh -register -expose-servers -address=127.0.0.1:8443 -bind-address=a=0.0.0.0:1';
    expect(config(args)).toEqual(config(args.replaceAll(/(^| )-/g, '$1--')));
  });

  test('only flags get a second dash: values, one letter and what follows -- stay', () => {
    const argv = ['-proxy-id=-x', '--token', '-h', '-1', '--', '-expose-servers'];
    expect(withDoubleDashes(argv)).toEqual(['--proxy-id=-x', '--token', '-h', '-1', '--', '-expose-servers']);
  });

  test('--bootstrap-only is for Envoy and registers only who asks for it; --bootstrap is the same', () => {
    expect(config('--bootstrap-only --expose-servers')).toMatchObject({
      dataPlane: 'envoy',
      bootstrapOnly: true,
      register: false,
    });
    expect(config('-bootstrap -register')).toMatchObject({ bootstrapOnly: true, register: true });
  });

  test('unknown flags and stray words are refused', () => {
    expect(() => config('--frobnicate')).toThrow(
      expect.objectContaining({ code: 'commander.unknownOption' }),
    );
    expect(() => config('frobnicate')).toThrow(
      expect.objectContaining({ code: 'commander.excessArguments' }),
    );
  });

  test('the environment fills what flags leave out', () => {
    const env = {
      CONSUL_HTTP_ADDR: 'https://agent:8501',
      CONSUL_HTTP_TOKEN: 'secret',
      CONSUL_GRPC_ADDR: 'unix:///run/xds.sock',
    };
    expect(config('', env)).toMatchObject({
      httpUrls: ['https://agent:8501'],
      token: 'secret',
      grpc: { target: 'unix:///run/xds.sock', tls: false },
    });
    expect(config('--http-addr a:1 --token t --grpc-addr [::1]:8502', env)).toMatchObject({
      httpUrls: ['http://a:1'],
      token: 't',
      grpc: { target: '[::1]:8502', tls: false },
    });
  });

  test('several agents: with commas, repeated, or both; each once, and in order', () => {
    const several = ['http://a:1', 'https://b:2', 'http://c:3'];
    expect(config('--http-addr a:1,https://b:2 --http-addr c:3 --http-addr a:1').httpUrls).toEqual(several);
    expect(config('', { CONSUL_HTTP_ADDR: 'a:1, https://b:2 ,c:3' }).httpUrls).toEqual(several);
    expect(config('--http-addr ,').httpUrls).toEqual(['http://127.0.0.1:8500']);
    expect(() => config('--http-addr a:1,http://')).toThrow(/--http-addr: "http:\/\/": write host:port/);
  });

  test('xDS over TLS: asked for by https:// or by naming an authority; the environment says it, too', () => {
    expect(config('--grpc-addr https://10.0.0.1').grpc).toEqual({ target: '10.0.0.1:8503', tls: true });
    expect(config('--grpc-addr 10.0.0.1:1 --grpc-ca-file ca.pem')).toMatchObject({
      grpc: { target: '10.0.0.1:1', tls: true },
      grpcCaFile: 'ca.pem',
    });
    const env = {
      CONSUL_GRPC_CACERT: 'a',
      CONSUL_GRPC_CAPATH: 'b',
      CONSUL_TLS_SERVER_NAME: 'server.dc1.consul',
    };
    expect(config('', env)).toMatchObject({
      grpcCaFile: 'a',
      grpcCaPath: 'b',
      tlsServerName: 'server.dc1.consul',
    });
  });

  test.each([
    ['--address gw.example.com', 'address_needs_port', '--address'],
    ['--address :8443', 'address_malformed', '--address'],
    ['--address ::1:x', 'address_malformed', '[address]:port'],
    ['--address [nope]:1', 'address_malformed', '--address'],
    ['--wan-address 1.2.3.4:65536', 'address_malformed', '--wan-address'],
    ['--bind-address 0.0.0.0:8443', 'bind_address_malformed', 'name=ip:port'],
    ['--bind-address a=host:1', 'bind_address_malformed', '--bind-address'],
    ['--http-addr unix:///x', 'url_malformed', '--http-addr'],
    ['--grpc-addr http://x:1 --grpc-ca-file ca.pem', 'url_malformed', 'https://'],
    ['--deregister-after-critical soon', 'duration_malformed', '--deregister-after-critical'],
    ['--drain-time 5', 'duration_malformed', '--drain-time'],
    ['--data-plane envoy --concurrency 2 -- --concurrency 4', 'concurrency_malformed', 'once'],
    ['--concurrency none', 'concurrency_malformed', 'auto'],
    ['--concurrency 0', 'concurrency_malformed', '1 to 128'],
    ['--data-plane haproxy', 'data_plane_unsupported', '--data-plane'],
    ['--envoy-binary /opt/envoy', 'needs_envoy', '--data-plane envoy'],
    ['--bootstrap-only --data-plane embedded', 'needs_envoy', '--bootstrap-only'],
    ['-- --concurrency 1', 'needs_envoy', '--data-plane envoy'],
    ['--gateway terminating', 'kind_unsupported', '--gateway'],
    ['--proxy-protocol --no-register', 'proxy_protocol_needs_registration', 'envoy_gateway_proxy_protocol'],
    ['--expose-servers --no-register', 'expose_needs_registration', '--no-register'],
    ['--log-level loud', 'log_level_unknown', '--log-level'],
  ])('%s: %s, naming the flag or the remedy', (args, code, words) => {
    expect(() => config(args)).toThrow(UsageError);
    expect(() => config(args)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    );
  });
});
