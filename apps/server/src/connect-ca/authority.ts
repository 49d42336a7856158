/**
 * authority.ts: the mesh's certificate authority of the primary: its root made once, its key used here and nowhere else.
 *
 * Root, key and serial number are rows of the log, so they survive whatever the log survives. They are written one after
 * the other, and whoever comes after a crash goes on where the last one stopped. The key leaves this file as signatures.
 * Lives here: making sure of the root, signing. Must not live here: what certificates say (@fed/pki), who may ask (rpc/).
 * Source: Consul agent/consul/leader_connect_ca.go (primaryInitialize), agent/connect/ca/provider_consul.go.
 */
import type { CaOp, CaProviderState, CaRequest, CaRoot, Fsm, ReadStore } from '@fed/fsm';
import { newCaConfig, newCaProviderState, newCaRequest, newCaRoot } from '@fed/fsm';
import { goTime } from '@fed/msgpack';
import { createMeshRoot, describeRoot, type Maker, signIntermediate } from '@fed/pki';
import { formatUuid } from '../identity.ts';

export interface AuthorityOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly fsm: Pick<Fsm, 'apply' | 'store'>;
  readonly maker: Maker;
}

/** The one signing state of the built-in authority. */
const stateId = 'consul';

export class Authority {
  readonly #o: AuthorityOptions;

  constructor(o: AuthorityOptions) {
    this.#o = o;
  }

  /** Called by who leads the primary, before anything is promised to secondaries. Writes only what is missing. */
  async ensureRoot(): Promise<void> {
    const clusterId = await this.#ensureClusterId();
    const state = await this.#ensureState(clusterId);
    const { index, rows } = this.#o.fsm.store.caRoots();
    if (rows.some((root) => root.Active && root.ID === describeRoot(state.RootCert).id)) return;
    const retired = rows.map((root) => ({ ...root, Active: false }));
    await this.#apply('set-roots', { Index: index, Roots: [...retired, rootRow(state.RootCert, clusterId)] });
  }

  /** An intermediate for a secondary's request, both PEM. Throws PkiError for a request that is refused. */
  async sign(request: string): Promise<string> {
    const { store } = this.#o.fsm;
    const clusterId = store.caConfig().row?.ClusterID ?? '';
    const state = store.caProviderState(stateId).row;
    if (clusterId === '' || state === undefined) throw new NotReadyError();
    const serial = await this.#nextSerial();
    const ca = { certificate: state.RootCert, key: state.PrivateKey };
    return signIntermediate({ request, clusterId, serial }, ca, this.#o.maker);
  }

  async #ensureClusterId(): Promise<string> {
    const { row } = this.#o.fsm.store.caConfig();
    if (row !== undefined && row.ClusterID !== '') return row.ClusterID;
    const ClusterID = formatUuid(this.#o.maker.randomBytes(16));
    await this.#apply('set-config', {
      Config: newCaConfig({ Config: {}, ...row, ClusterID, Provider: 'consul', ModifyIndex: 0 }),
    });
    return ClusterID;
  }

  async #ensureState(clusterId: string): Promise<CaProviderState> {
    const known = this.#o.fsm.store.caProviderState(stateId).row;
    if (known !== undefined && known.RootCert !== '') return known;
    const serial = await this.#nextSerial();
    const { certificate, key } = await createMeshRoot({ clusterId, serial }, this.#o.maker);
    const made = newCaProviderState({ ID: stateId, PrivateKey: key, RootCert: certificate });
    await this.#apply('set-provider-state', { ProviderState: made });
    return made;
  }

  async #nextSerial(): Promise<number> {
    return (await this.#apply('increment-provider-serial', {})) as number;
  }

  async #apply(op: CaOp, request: Partial<CaRequest>): Promise<boolean | number | null> {
    const { result } = await this.#o.fsm.apply({
      type: 'connectCa',
      request: newCaRequest({ ...request, Datacenter: this.#o.datacenter, Op: op }),
    });
    return result;
  }
}

/** Nobody has led here long enough to make a root, or, in a secondary, to hear of the primary's. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
  readonly code = 'ca_not_ready';

  constructor() {
    super('CA is uninitialized and unable to sign certificates or name its roots yet');
  }
}

/** The cluster id of this federation's mesh, once it is known. */
export function clusterIdOf(store: ReadStore): string | undefined {
  const id = store.caConfig().row?.ClusterID ?? '';
  return id === '' ? undefined : id;
}

function rootRow(certificate: string, clusterId: string): CaRoot {
  const { id, keyId, serial, notBefore, notAfter } = describeRoot(certificate);
  return newCaRoot({
    Active: true,
    // A secondary takes this over as its own cluster id.
    ExternalTrustDomain: clusterId,
    ID: id,
    Name: 'Consul CA Root Cert',
    NotAfter: goTime(notAfter),
    NotBefore: goTime(notBefore),
    PrivateKeyBits: 256,
    PrivateKeyType: 'ec',
    RootCert: certificate,
    SerialNumber: serial,
    SigningKeyID: keyId,
  });
}
