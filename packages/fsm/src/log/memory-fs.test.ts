import { expect, test } from 'vitest';
import { createMemoryFs } from './memory-fs.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function opened() {
  const fs = createMemoryFs();
  await fs.lock('/d');
  const file = await fs.create('/d/log');
  await fs.syncDir('/d');
  const write = (bytes: string, at: number): Promise<void> => file.write(Buffer.from(bytes), at);
  /** What is found after a power cut in which nothing that was not synced survived. */
  const afterCut = async (): Promise<string> => {
    fs.crash({ below: (n) => n - 1 });
    await fs.lock('/d');
    return text(await fs.read('/d/log'));
  };
  return { fs, file, write, afterCut };
}

test('memory fs: what was written over after a sync is what it was then, once the power goes', async () => {
  const { file, write, afterCut } = await opened();
  await write('abcdef', 0);
  await file.sync();
  await write('XY', 1);
  expect(await afterCut()).toBe('abcdef');
});

test('memory fs: so is what was cut off, and what was written in its place', async () => {
  const { fs, file, write, afterCut } = await opened();
  await write('abcdef', 0);
  await file.sync();
  await file.truncate(2);
  await write('Z', 2);
  expect(text(await fs.read('/d/log'))).toBe('abZ');
  expect(await afterCut()).toBe('abcdef');
});

test('memory fs: nothing of what was cut off shows where nothing was written', async () => {
  const { fs, file, write } = await opened();
  await write('abcdef', 0);
  await file.truncate(1);
  await write('z', 4);
  expect(text(await fs.read('/d/log'))).toBe('a\0\0\0z');
  await file.truncate(2);
  await file.truncate(4);
  expect(text(await fs.read('/d/log'))).toBe('a\0\0\0');
});

test('memory fs: damage done to a file by hand was not there when it was synced', async () => {
  const { fs, file, write, afterCut } = await opened();
  await write('abcdef', 0);
  await file.sync();
  fs.bytesOf('/d/log').fill(0x2e, 2, 4);
  expect(text(await fs.read('/d/log'))).toBe('ab..ef');
  expect(await afterCut()).toBe('abcdef');
});

test('memory fs: a log that grows, any number of syncs in between', async () => {
  const { fs, file, write } = await opened();
  let whole = '';
  for (let i = 0; i < 200; i++) {
    const more = `${i},`.repeat(1 + (i % 7));
    await write(more, whole.length);
    whole += more;
    if (i % 3 === 0) await file.sync();
  }
  expect(text(await fs.read('/d/log'))).toBe(whole);
});
