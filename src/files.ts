import { randomUUID } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';

/** The whole file or none, and never over another's: a link, unlike a rename, fails when the name is taken. */
export async function createWhole(file: string, text: string, mode: number): Promise<void> {
  const partial = await writePartial(file, text, mode);
  try {
    await link(partial, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(partial, { force: true });
  }
}

/** The former content or this, never a part of one. */
export async function replaceWhole(file: string, text: string, mode: number): Promise<void> {
  await rename(await writePartial(file, text, mode), file);
}

async function writePartial(file: string, text: string, mode: number): Promise<string> {
  const partial = `${file}.${randomUUID()}.partial`;
  const handle = await open(partial, 'wx', mode);
  try {
    await handle.writeFile(text);
    // What a key has signed must not outlive it because the machine lost power.
    await handle.sync();
  } finally {
    await handle.close();
  }
  return partial;
}
