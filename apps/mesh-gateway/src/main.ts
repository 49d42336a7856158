/**
 * main.ts: the story of a gateway.
 *
 * It tells the agent where it is, has a data plane do what comes back over xDS, and at the end stops in the order in
 * which others depend on it. Rooms below know nothing of each other; they meet here.
 * Lives here: composition and order. Must not live here: decisions.
 */
import { renderHostPort } from '@fed/alpn-mux';
import type { Agent, AgentError } from './agent.ts';
import { Agents } from './agents.ts';
import { askAgent, askAgents } from './assignment.ts';
import { Authorities } from './authorities.ts';
import type { GatewayConfig } from './config.ts';
import type { Announce, DataPlane } from './data-plane.ts';
import { type KeepRegistered, keepRegistered } from './keep-registered.ts';
import { type Log, registrationLogger } from './log.ts';
import { settlePorts } from './ports-settled.ts';
import { namesake, type RegistrationBody, registrationBody } from './registration.ts';
import type { World } from './world.ts';

/** Runs until `stop`, then drains; resolves with the exit status. Rejects, with nothing left open, if it cannot begin. */
export async function main(given: GatewayConfig, world: World, log: Log, stop: AbortSignal): Promise<number> {
  const { clock, rng } = world;
  const config = await settlePorts(given, world.freePort);
  const { id } = config;
  const body = registrationBody(config, world.hostAddresses());
  const ca = new Authorities(config);
  const agents = agentsOf(config, world);
  let kept: KeepRegistered | undefined;
  const tellRegistration = registrationLogger(log, id);
  const announce: Announce = (binds, admin) =>
    world.print(
      `mesh gateway ${id} listening on ${binds.map(renderHostPort).join(', ')}, admin on http://${renderHostPort(admin)}`,
    );

  // ---- Above, nothing but free ports has been touched. Below, each line opens something; leaving closes it. ----
  /** Whose word on xDS is followed. */
  let followed = agents.current;
  const follow = async (): Promise<void> => {
    followed = agents.current;
    const assignment = await askAgent({ config, ca, agent: followed, log, stop });
    if (stop.aborted || followed !== agents.current) return;
    plane.redirect(assignment);
    log.info({ target: assignment.target }, 'configuration comes from here now');
  };
  const streamLost = (): void => {
    kept?.check();
    // Where nobody asks the agent whether it lives, the stream tells.
    if (kept === undefined && agents.count > 1) agents.turn();
    if (followed !== agents.current) void follow();
  };
  const bindsChanged = (): void => kept?.check();
  await using plane = await openPlane({ config, world, log, announce, streamLost, bindsChanged });
  if (config.register) await tellNamesake(agents.current, body, log, stop);
  await using registration = config.register
    ? keepRegistered({
        agents,
        body,
        clock,
        rng,
        onEvent: (e) => {
          tellRegistration(e);
          if (e.kind === 'moved') void follow();
        },
      })
    : undefined;
  kept = registration;
  using _hangup = world.onHangup(() => reload(config, ca, log));
  if (registration) await Promise.race([registration.registered, aborted(stop)]);
  if (stop.aborted) return 0;

  followed = agents.current;
  const assignment = await askAgents({ config, ca, agents, log, stop });
  await plane.start(assignment);
  if (followed !== agents.current) await follow();
  log.info(
    { target: assignment.target, tls: assignment.tls !== undefined, id },
    'asking for configuration over xDS',
  );
  const crashed = await Promise.race([plane.ended, aborted(stop)]);

  // Nobody is sent here any more; nothing new is configured; nobody new comes in; those inside go.
  log.info({ connections: await plane.connections(), drainMs: config.drainMs }, 'stopping');
  await registration?.[Symbol.asyncDispose]();
  if (config.register && config.exposeServers) await warnIfLast(config, agents.current, log);
  if (config.register && config.deregisterOnExit) {
    await agents.current.deregister(id, new AbortController().signal).then(
      () => log.info({ id }, 'deregistered'),
      (e: AgentError) =>
        log.warn(reason(e), 'could not deregister; the agent forgets the instance by its check'),
    );
  }
  return crashed ?? (await plane.drain(config.drainMs));
}

/** Flags stand for as long as the process; what they name in files may have changed. A signal has nobody to answer to but the log. */
function reload({ dataPlane, grpcCaFile, grpcCaPath }: GatewayConfig, ca: Authorities, log: Log): void {
  const flags =
    'flags and environment are read at the start only; to change one, start another gateway beside this one, then stop this one';
  if (dataPlane === 'envoy') {
    log.info(`nothing is reloaded: Envoy has its authorities from the start, and ${flags}`);
    return;
  }
  if (grpcCaFile === undefined && grpcCaPath === undefined) {
    log.info(`nothing to reload: no authority is named, routes come over xDS, and ${flags}`);
    return;
  }
  try {
    ca.readAgain();
    log.info(
      { grpcCaFile, grpcCaPath },
      `authorities of the xDS server read again, for streams from now on; ${flags}`,
    );
  } catch (e) {
    log.error({ grpcCaFile, grpcCaPath }, `reload refused, the authorities stay: ${(e as Error).message}`);
  }
}

/** Whoever stops us cannot be refused, but told: with the last gateway a datacenter leaves the federation. */
async function warnIfLast({ id, service }: GatewayConfig, agent: Agent, log: Log): Promise<void> {
  try {
    const others = (await agent.carriers(service, new AbortController().signal)).filter(
      (each) => each !== id,
    );
    if (others.length > 0) return;
    const text =
      'this is the last healthy gateway of its datacenter: until another comes, nothing crosses its border (fed gateway drain says so beforehand)';
    log.warn({ id }, text);
  } catch (e) {
    log.debug(reason(e as AgentError), 'cannot ask the agent for other gateways');
  }
}

/** Prints what Envoy would be started with. Registers only if asked to. */
export async function printBootstrap(
  given: GatewayConfig,
  world: World,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  const config = await settlePorts(given, world.freePort);
  const ca = new Authorities(config);
  const agents = agentsOf(config, world);
  if (config.register) await registerAnywhere(agents, registrationBody(config, world.hostAddresses()), stop);
  const { bootstrapText } = await import('./envoy/bootstrap.ts');
  const assignment = await askAgents({ config, ca, agents, log, stop });
  world.print((await bootstrapText(config, assignment, world.resolve)).trimEnd());
}

function agentsOf({ httpUrls: urls, token }: GatewayConfig, { exchange, clock }: World): Agents {
  return new Agents({ urls, exchange, clock, ...(token !== undefined && { token }) });
}

/** At the first agent that answers. Throws what the last one said, or the one that refused. */
async function registerAnywhere(agents: Agents, body: RegistrationBody, stop: AbortSignal): Promise<void> {
  for (let left = agents.count - 1; ; left--) {
    try {
      await agents.current.register(body, stop);
      return;
    } catch (e) {
      if (left === 0 || (e as AgentError).code === 'refused') throw e;
      agents.turn();
    }
  }
}

/** Either room is entered only by who lives there: the other one's libraries are not even loaded. */
async function openPlane(o: {
  readonly config: GatewayConfig;
  readonly world: World;
  readonly log: Log;
  readonly announce: Announce;
  readonly streamLost: () => void;
  readonly bindsChanged: () => void;
}): Promise<DataPlane> {
  switch (o.config.dataPlane) {
    case 'embedded':
      return await (await import('./embedded.ts')).openEmbeddedPlane(o);
    case 'envoy':
      return await (await import('./envoy/plane.ts')).openEnvoyPlane(o);
  }
}

/** Said before it is replaced; an agent that cannot be asked is heard of when we register. */
async function tellNamesake(
  agent: Agent,
  body: RegistrationBody,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  const other = namesake(body, await agent.instance(body.ID, stop).catch(() => undefined));
  if (other === undefined) return;
  log.warn(
    { id: body.ID, other },
    'the agent has this instance at another address, and it is replaced; if that gateway still runs, give each a --proxy-id',
  );
}

const reason = (e: AgentError): { code: string; cause: string } => ({ code: e.code, cause: e.message });

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
