/**
 * on-restored.ts: tells when the whole state was replaced by another: by a snapshot somebody restored, or by one that this
 * server had to take because it had fallen too far behind.
 */
import type { Fsm } from '@fed/fsm';

export function onRestored(fsm: Pick<Fsm, 'store' | 'watch'>, restored: () => void): Disposable {
  let { epoch } = fsm.store;
  return fsm.watch(
    // A restore wakes whoever waits for anything; this is what seldom wakes otherwise.
    (store) => store.index('nodes'),
    () => {
      if (fsm.store.epoch === epoch) return;
      epoch = fsm.store.epoch;
      restored();
    },
  );
}
