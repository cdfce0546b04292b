import { gunzipSync } from 'node:zlib';
import { unzipSync } from 'fflate';

/** Files of an application package by path. */
export type PackageFiles = ReadonlyMap<string, Buffer>;

/** @throws Error when the archive is broken or a path leads out of it */
export function readArchive(body: Buffer, contentType: string): Map<string, Buffer> {
  const files = contentType === 'application/zip' ? readZip(body) : readTar(gunzipSync(body));
  for (const path of files.keys()) checkPath(path);
  return files;
}

/** @throws Error for a path that is absolute or climbs */
export function checkPath(path: string): string {
  const parts = path.split('/');
  if (path.startsWith('/') || path.includes('\0') || path.includes('\\') || parts.includes('..'))
    throw new Error(`illegal path ${path}`);
  return parts.filter((part) => part !== '' && part !== '.').join('/');
}

function readZip(body: Buffer): Map<string, Buffer> {
  // By its central directory: streamed zips, as the vespa command sends them, have their sizes only there.
  const entries = Object.entries(unzipSync(body)).filter(([name]) => !name.endsWith('/'));
  return new Map(entries.map(([name, bytes]) => [name.replace(/^\.\//, ''), Buffer.from(bytes)]));
}

function readTar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let longName: string | undefined;
  for (let at = 0; at + 512 <= tar.length;) {
    const header = tar.subarray(at, at + 512);
    const text = (from: number, length: number) =>
      header.toString('utf8', from, from + length).replace(/\0[\s\S]*$/, '');
    if (text(0, 100) === '') break;
    const size = Number.parseInt(text(124, 12).trim() || '0', 8);
    const content = tar.subarray(at + 512, at + 512 + size);
    const type = text(156, 1) || '0';
    const prefix = text(257, 5) === 'ustar' ? text(345, 155) : '';
    const name = longName ?? (prefix ? `${prefix}/${text(0, 100)}` : text(0, 100));
    longName = undefined;
    if (type === 'L') longName = content.toString('utf8').replace(/\0+$/, '');
    else if (type === 'x') longName = /\d+ path=(.*)\n/.exec(content.toString('utf8'))?.[1];
    else if (type === '0') files.set(name.replace(/^\.\//, ''), Buffer.from(content));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
