/**
 * allowed-networks.ts: which addresses members may have. memberlist config.go, CIDRsAllowed.
 *
 * Lives here: a list of networks as one yes or no. Must not live here: what is done about a no.
 */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { MemberlistError } from './errors.ts';

/** Whether an IP address as text is in one of `cidrs`; an empty list allows nothing. @throws MemberlistError 'bad_config' */
export function allowedNetworks(cidrs: readonly string[]): (host: string) => boolean {
  const networks = new BlockList();
  for (const cidr of cidrs) {
    const [network = '', bitsText = '', ...rest] = cidr.split('/');
    const bits = Number(bitsText);
    const bitsMax = isIPv6(network) ? 128 : 32;
    if (rest.length > 0 || isIP(network) === 0 || !/^[0-9]{1,3}$/.test(bitsText) || bits > bitsMax)
      throw new MemberlistError(
        'bad_config',
        `config.cidrsAllowed: '${cidr}' is no network; write 10.0.0.0/8`,
      );
    networks.addSubnet(network, bits, isIPv6(network) ? 'ipv6' : 'ipv4');
  }
  return (host) => isIP(host) !== 0 && networks.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}
