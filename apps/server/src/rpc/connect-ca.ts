/**
 * connect-ca.ts: ConnectCA.*: the roots of the mesh for everyone, and an intermediate for each secondary.
 *
 * Source: Consul agent/consul/connect_ca_endpoint.go, server_connect.go (getCARoots).
 */
import type { CaRoot } from '@fed/fsm';
import { goTimeZero, type Value } from '@fed/msgpack';
import { PkiError, trustDomainOf } from '@fed/pki';
import { RpcApplicationError } from '@fed/rpc';
import { type Authority, clusterIdOf, NotReadyError } from '../connect-ca/authority.ts';
import { text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';
import type { Callers } from './callers.ts';

export interface ConnectCaOptions extends BlockingOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly authority: Pick<Authority, 'sign'>;
  readonly callers: Callers;
}

export function connectCaEndpoints(o: ConnectCaOptions): Readonly<Record<string, Endpoint>> {
  return {
    'ConnectCA.Roots': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.caRoots();
          const clusterId = clusterIdOf(store);
          const active = rows.find((root) => root.Active);
          // A secondary that is told of no root asks again much later than one that is told to come again.
          if (clusterId === undefined || active === undefined) throw notReady(new NotReadyError());
          return {
            index,
            reply: {
              ActiveRootID: active.ID,
              Roots: rows.map(shown),
              TrustDomain: trustDomainOf(clusterId),
            },
          };
        }),
    },
    'ConnectCA.SignIntermediate': {
      belongs: 'datacenter',
      answer: async (args, { caller }) => {
        if (o.datacenter !== o.primary) throw new RpcApplicationError('not the primary datacenter');
        o.callers.mustBeServer(caller, 'an intermediate of the mesh’s CA');
        try {
          return await o.authority.sign(text(args, 'CSR'));
        } catch (error) {
          if (error instanceof PkiError) throw new RpcApplicationError(error.message, { cause: error });
          if (error instanceof NotReadyError) throw notReady(error);
          throw error;
        }
      },
    },
  };
}

/** What others may see of a root, key by key: whatever else a row holds may be a secret. */
function shown(root: CaRoot): Value {
  return {
    Active: root.Active,
    CreateIndex: root.CreateIndex,
    ExternalTrustDomain: root.ExternalTrustDomain,
    ID: root.ID,
    IntermediateCerts: root.IntermediateCerts,
    ModifyIndex: root.ModifyIndex,
    Name: root.Name,
    NotAfter: root.NotAfter,
    NotBefore: root.NotBefore,
    PrivateKeyBits: root.PrivateKeyBits,
    PrivateKeyType: root.PrivateKeyType,
    RootCert: root.RootCert,
    RotatedOutAt: goTimeZero,
    SerialNumber: root.SerialNumber,
    SigningCert: '',
    SigningKey: '',
    SigningKeyID: root.SigningKeyID,
  };
}

function notReady(cause: NotReadyError): RpcApplicationError {
  return new RpcApplicationError(cause.message, { cause });
}
