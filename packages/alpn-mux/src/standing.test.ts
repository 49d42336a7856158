import { SteppedClock } from '@fed/tooling/virtual-clock';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PenaltyBox } from './penalty-box.ts';
import { Standing } from './standing.ts';

const settings = { perSecond: 1, burst: 2 };
const host = '192.0.2.1';

function house() {
  const clock = new SteppedClock();
  const box = new PenaltyBox(settings);
  const comes = (): Standing | undefined => {
    const admission = box.admit(host, clock.now());
    const letIn = admission === 'welcome' || admission === 'onProbation';
    return letIn ? new Standing(box, clock, host, admission) : undefined;
  };
  const fails = (times: number): void => {
    for (let n = 0; n < times; n++) box.failed(host, clock.now());
  };
  return { clock, box, comes, fails };
}

test('who is certified speaks for his address at once, and for a while after he has gone', () => {
  const { comes, fails } = house();
  const peer = comes();
  fails(1);
  peer?.handedOver(true);
  fails(9);
  expect(comes()).toBeDefined();
  peer?.closed();
  fails(9);
  expect(comes()).toBeDefined();
});

test('where others have failed, he does after a second, and not at all if he is blamed until then', () => {
  const { clock, comes, fails } = house();
  fails(1);
  const blamed = comes();
  blamed?.handedOver(true);
  expect(comes()).toBeUndefined(); // he might still fail
  blamed?.blamed();
  blamed?.closed();
  expect(clock.armed).toBe(0);
  fails(9);
  expect(comes()).toBeUndefined();
  clock.advance(1_000);
  const patient = comes();
  patient?.handedOver(true);
  expect(comes()).toBeUndefined();
  clock.advance(1_000);
  fails(9);
  expect(comes()).toBeDefined();
});

test('whatever happens to any of them, nothing of it is left when all have gone and time has passed', () => {
  const step = fc.record({
    what: fc.constantFrom('come', 'handOver', 'handOverCertified', 'blame', 'close', 'fail', 'wait'),
    which: fc.nat(5),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (script) => {
      const { clock, box, comes, fails } = house();
      const here: Standing[] = [];
      const decided = new Set<Standing>();
      const act: Record<string, (one: Standing) => void> = {
        handOver: (one) => one.handedOver(false),
        handOverCertified: (one) => one.handedOver(true),
        blame: (one) => one.blamed(),
      };
      for (const { what, which } of script) {
        const one = here[which];
        if (what === 'come') here.push(...[comes()].filter((s) => s !== undefined));
        else if (what === 'fail') fails(1);
        else if (what === 'wait') clock.advance(400);
        else if (one !== undefined && what === 'close') {
          one.closed();
          here.splice(which, 1);
        } else if (one !== undefined && (what === 'blame') === decided.has(one)) {
          act[what]?.(one);
          decided.add(one);
        }
      }
      for (const one of here) one.closed();
      expect(clock.armed).toBe(0);
      clock.advance(700_000); // longer than anything is remembered
      expect(box.admit(host, clock.now())).toBe('welcome');
      fails(2);
      expect(box.admit(host, clock.now())).toBe('begins'); // nobody speaks for it any more
      clock.advance(1_000);
      expect(box.admit(host, clock.now())).toBe('onProbation'); // nobody is pending
    }),
  );
});
