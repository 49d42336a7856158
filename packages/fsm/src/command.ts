/**
 * command.ts: what may stand in the log: one type byte, then one msgpack value, as in Consul's raft log.
 *
 * Anything the log can hold can be read: a type we give no meaning to comes back as `foreign` and is written again as it
 * was, so that a newer neighbour's command never stops an older replica.
 * Lives here: the union of commands, bytes to command, command to bytes. Must not live here: what a command does (apply.ts).
 * Sources: Consul agent/structs/structs.go (MessageType, RegisterRequest, DeregisterRequest), federation_state.go,
 * config_entry.go, agent/consul/fsm/commands_oss.go (v1.9.8).
 */
import { MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import {
  type ConfigEntryRequest,
  decodeConfigEntryRequest,
  encodeConfigEntryRequest,
} from './config-entries/wire.ts';
import { FsmError, RowError } from './errors.ts';
import { newCoordinate, newFederationState } from './new-row.ts';
import { binaryKeys, shapes } from './row-shapes.ts';
import type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckRow,
  Coordinate,
  FederationState,
  ServiceRow,
  StringMap,
} from './rows.ts';
import { conform, type Fields, freeze } from './shapes.ts';

/** Message types of the log and of snapshot records that mean something here. */
export const messageType = {
  register: 0,
  deregister: 1,
  coordinates: 6,
  connectCa: 13,
  caProviderState: 14, // in snapshots only
  caConfig: 15, // in snapshots only
  index: 16,
  configEntry: 22,
  federationState: 30,
} as const;

/** Set on a type byte by a writer who does not mind being ignored. */
export const ignoreUnknownFlag = 0x80;

export type RegisterRequest = {
  readonly Address: string;
  readonly Check: CheckRow | null;
  readonly Checks: readonly CheckRow[] | null;
  readonly CreateIndex: number;
  readonly Datacenter: string;
  readonly ID: string;
  readonly ModifyIndex: number;
  readonly Node: string;
  readonly NodeMeta: StringMap | null;
  readonly Service: ServiceRow | null;
  readonly SkipNodeUpdate: boolean;
  readonly TaggedAddresses: StringMap | null;
  readonly Token: string;
};

/** Removes a service when ServiceID is set, else a check when CheckID is set, else the whole node. */
export type DeregisterRequest = {
  readonly CheckID: string;
  readonly Datacenter: string;
  readonly Node: string;
  readonly ServiceID: string;
  readonly Token: string;
};

/** `Index` is the index of the roots the writer has seen: a write that comes too late changes nothing. */
export type CaRequest = {
  readonly Config: CaConfig | null;
  readonly Datacenter: string;
  readonly Index: number;
  /** One of `caOps`; others decode, and are refused when applied. */
  readonly Op: string;
  readonly ProviderState: CaProviderState | null;
  readonly Roots: readonly CaRoot[] | null;
  readonly Token: string;
};

export type Command =
  | { readonly type: 'register'; readonly request: RegisterRequest }
  | { readonly type: 'deregister'; readonly request: DeregisterRequest }
  | {
      readonly type: 'federationState';
      /** 'upsert' | 'delete'; others decode, and are refused when applied. */
      readonly op: string;
      readonly state: FederationState | null;
      readonly datacenter?: string;
      readonly token?: string;
    }
  | { readonly type: 'coordinates'; readonly updates: readonly Coordinate[] }
  | { readonly type: 'connectCa'; readonly request: CaRequest }
  | { readonly type: 'configEntry'; readonly request: ConfigEntryRequest }
  | { readonly type: 'foreign'; readonly typeByte: number; readonly body: Uint8Array };

const registerFields = {
  Address: 'text',
  Check: { pointer: (shapes.check as { readonly struct: Fields }).struct },
  Checks: { list: shapes.check },
  CreateIndex: 'index',
  Datacenter: 'text',
  ID: 'text',
  ModifyIndex: 'index',
  Node: 'text',
  NodeMeta: { map: 'text' },
  Service: { pointer: (shapes.service as { readonly struct: Fields }).struct },
  SkipNodeUpdate: 'bool',
  TaggedAddresses: { map: 'text' },
  Token: 'text',
} as const satisfies Fields & Record<keyof RegisterRequest, unknown>;

const deregisterFields = {
  CheckID: 'text',
  Datacenter: 'text',
  Node: 'text',
  ServiceID: 'text',
  Token: 'text',
} as const satisfies Fields & Record<keyof DeregisterRequest, unknown>;

const caRequestFields = {
  Config: { pointer: (shapes.caConfig as { readonly struct: Fields }).struct },
  Datacenter: 'text',
  Index: 'index',
  Op: 'text',
  ProviderState: { pointer: (shapes.caProviderState as { readonly struct: Fields }).struct },
  Roots: { list: shapes.caRoot },
  Token: 'text',
} as const satisfies Fields & Record<keyof CaRequest, unknown>;

const federationStateRequestFields = {
  Datacenter: 'text',
  Op: 'text',
  State: { pointer: (shapes.federationState as { readonly struct: Fields }).struct },
  Token: 'text',
} as const satisfies Fields;

/** Completes and freezes a registration; throws RowError. Rows inside may be partial. */
export function newRegisterRequest(
  request: { readonly [key in keyof RegisterRequest]?: unknown } | Value,
): RegisterRequest {
  return freeze(conform(request as Value, { struct: registerFields }) as RegisterRequest);
}

export function newDeregisterRequest(request: Partial<DeregisterRequest> | Value): DeregisterRequest {
  return freeze(conform(request as Value, { struct: deregisterFields }) as DeregisterRequest);
}

export function newCaRequest(request: Partial<CaRequest> | Value): CaRequest {
  return freeze(conform(request as Value, { struct: caRequestFields }) as CaRequest);
}

export function encodeCommand(command: Command): Uint8Array {
  const out = new Writer();
  switch (command.type) {
    case 'register':
      return out.u8(messageType.register).value(command.request).take();
    case 'deregister':
      return out.u8(messageType.deregister).value(command.request).take();
    case 'federationState':
      return out
        .u8(messageType.federationState)
        .value({
          Datacenter: command.datacenter ?? '',
          Op: command.op,
          State: command.state,
          Token: command.token ?? '',
        })
        .take();
    case 'coordinates':
      return out.u8(messageType.coordinates).value(command.updates).take();
    case 'connectCa':
      return out.u8(messageType.connectCa).value(command.request).take();
    case 'configEntry':
      return out.u8(messageType.configEntry).raw(encodeConfigEntryRequest(command.request)).take();
    case 'foreign':
      return out.u8(command.typeByte).verbatim(command.body).take();
  }
}

/** Throws FsmError `malformed` for bytes that are not what their type byte claims; bytes after the value are ignored, as in Go. */
export function decodeCommand(bytes: Uint8Array): Command {
  const typeByte = bytes[0];
  if (typeByte === undefined) throw new FsmError('malformed', 'empty log entry');
  try {
    switch (typeByte) {
      case messageType.register:
        return { type: 'register', request: newRegisterRequest(body(bytes)) };
      case messageType.deregister:
        return { type: 'deregister', request: newDeregisterRequest(body(bytes)) };
      case messageType.federationState:
        return federationStateCommand(body(bytes));
      case messageType.coordinates:
        return { type: 'coordinates', updates: coordinateList(body(bytes)) };
      case messageType.connectCa:
        return { type: 'connectCa', request: newCaRequest(body(bytes)) };
      case messageType.configEntry:
        return { type: 'configEntry', request: decodeConfigEntryRequest(new Reader(bytes, 1).bytes()) };
      default:
        return { type: 'foreign', typeByte, body: Uint8Array.from(bytes.subarray(1)) };
    }
  } catch (cause) {
    if (!(cause instanceof MsgpackError) && !(cause instanceof RowError)) throw cause;
    throw new FsmError('malformed', `log entry of type ${typeByte}: ${cause.message}`, { cause });
  }
}

function body(bytes: Uint8Array): Value {
  return new Reader(bytes, 1).value({ binaryKeys });
}

function federationStateCommand(value: Value): Command {
  const request = conform(value, { struct: federationStateRequestFields }) as {
    readonly Datacenter: string;
    readonly Op: string;
    readonly State: Value;
    readonly Token: string;
  };
  return {
    type: 'federationState',
    op: request.Op,
    state: request.State === null ? null : newFederationState(request.State),
    datacenter: request.Datacenter,
    token: request.Token,
  };
}

function coordinateList(value: Value): readonly Coordinate[] {
  const list = conform(value, { list: shapes.coordinate }) as readonly Value[] | null;
  return (list ?? []).map((item) => newCoordinate(item));
}
