import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { inputArguments, lastComplaint } from '../../../src/video/ffmpeg.js';
import { findTool } from '../../../src/video/tools.js';
import { temporaryFolder } from '../../support/videos.js';

describe('findTool', () => {
  it('takes the variable, then PATH, then the npm package', async () => {
    const folder = await temporaryFolder();
    for (const name of ['named', 'ffmpeg']) {
      await writeFile(path.join(folder, name), '#!/bin/sh\n');
      await chmod(path.join(folder, name), 0o755);
    }
    const named = path.join(folder, 'named');
    expect(findTool('ffmpeg', { FFMPEG_PATH: named, PATH: folder })).toBe(named);
    expect(findTool('ffmpeg', { PATH: `relative:${folder}` })).toBe(path.join(folder, 'ffmpeg'));
    expect(findTool('ffmpeg', { PATH: '' })).toContain(path.join('@ffmpeg-installer', ''));
    expect(findTool('ffprobe', {})).toContain(path.join('@ffprobe-installer', ''));
  });

  it('says what to do when the variable names nothing that runs', async () => {
    const folder = await temporaryFolder();
    await mkdir(path.join(folder, 'ffprobe'));
    for (const wrong of [path.join(folder, 'gone'), path.join(folder, 'ffprobe')]) {
      expect(() => findTool('ffprobe', { FFPROBE_PATH: wrong, PATH: process.env['PATH'] })).toThrow(
        `FFPROBE_PATH names no executable file: ${wrong}`,
      );
    }
  });
});

describe('arguments and complaints', () => {
  it('name a file so that it can be no option, protocol or list', () => {
    for (const name of ['-i', 'http://host/x', 'concat:a|b', '%d.mp4', '|sh']) {
      const args = inputArguments(name);
      expect(args.at(-1)).toBe(`file:${path.resolve(name)}`);
      expect(args[args.indexOf('-protocol_whitelist') + 1]).toBe('file');
    }
  });

  it('show what ffmpeg said without paths, addresses and control characters', () => {
    const file = '/data/a\nb.mp4';
    const said = `[h264 @ 0x55d0c0ffee] first\nfile:${file}: Invalid \u001b[31mdata\n\n`;
    expect(lastComplaint(said, file)).toBe('Invalid  [31mdata');
    expect(lastComplaint('', file)).toBe('no reason given');
    expect(lastComplaint('x'.repeat(1000), file).length).toBe(200);
  });
});
