import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseCues, textBetween } from '../../../src/video/cues.js';
import { readSidecar } from '../../../src/video/sidecar.js';
import { temporaryFolder } from '../../support/videos.js';

const VTT = `\uFEFFWEBVTT - a talk
Kind: captions

NOTE nothing --> here

STYLE
::cue { color: red }

1
00:01.000 --> 00:04.000 align:start position:0%
<v Ann>Good <i>morning</i> &amp; welcome</v>

2
01:00:02.500 --> 01:00:03
Late
words

00:05.000 --> 00:02.000
backwards

broken
00:xx --> 00:07.000
not a time
`;
const SRT =
  '1\r\n00:00:00,500 --> 00:00:02,000\r\n{\\an8}First line\r\nsecond line\r\n\r\n2\r\n00:00:02,000 --> 00:00:05,250\r\nThird\r\n';

describe('cues', () => {
  it('are read from WebVTT as players do: settings, markup and notes aside, what is broken passed over', () => {
    expect(parseCues(VTT)).toEqual([{ start: 1, end: 4, text: 'Good morning & welcome' }]);
    expect(parseCues('00:59:58.000 --> 01:00:03.000\nover the hour\n')).toEqual([
      { start: 3598, end: 3603, text: 'over the hour' },
    ]);
  });

  it('are read from SubRip', () => {
    expect(parseCues(SRT)).toEqual([
      { start: 0.5, end: 2, text: 'First line second line' },
      { start: 2, end: 5.25, text: 'Third' },
    ]);
  });

  it('go to the segments they overlap, a repeated line once', () => {
    const cues = [
      { start: 0, end: 2, text: 'one' },
      { start: 2, end: 4, text: 'two' },
      { start: 4, end: 6, text: 'two' },
    ];
    expect(textBetween(cues, 0, 1)).toBe('one');
    expect(textBetween(cues, 2, 3)).toBe('two');
    expect(textBetween(cues, 1, 5)).toBe('one two');
    expect(textBetween(cues, 6, 9)).toBe('');
  });

  it('of hostile text take no time', () => {
    // Processor time and not the clock's, which a busy machine stretches.
    const began = process.threadCpuUsage();
    for (const text of [
      '<'.repeat(2e6),
      '-->'.repeat(7e5),
      '\n \n'.repeat(7e5),
      '{\\'.repeat(1e6),
      '00:'.repeat(7e5),
    ]) {
      parseCues(text);
      parseCues(`00:01.000 --> 00:02.000\n${text}`);
    }
    const { user, system } = process.threadCpuUsage(began);
    expect((user + system) / 1e6).toBeLessThan(5);
  });
});

describe('readSidecar', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  const beside = async (name: string, files: Record<string, string | Uint8Array>) => {
    for (const [ending, content] of Object.entries(files))
      await writeFile(path.join(folder, name + ending), content);
    return readSidecar(path.join(folder, `${name}.MP4`));
  };

  it('is empty when nothing is there', async () => {
    const sidecar = await beside('alone', {});
    expect([
      sidecar.title,
      sidecar.transcriptAt(0, 9),
      sidecar.descriptionAt(0, 9),
      sidecar.fingerprint,
    ]).toEqual([undefined, '', '', '']);
  });

  it('takes subtitles by time, before the transcript of the JSON', async () => {
    const sidecar = await beside('both', {
      '.srt': SRT,
      '.json': '{"title":" A  talk ","transcript":"unused"}',
    });
    expect(sidecar.title).toBe('A  talk');
    expect(sidecar.transcriptAt(0, 1)).toBe('First line second line');
    expect(sidecar.transcriptAt(3, 4)).toBe('Third');
  });

  it('takes a text without times for every segment, and one with times by time', async () => {
    const json = {
      transcript: 'all   of it',
      description: [
        { start: 0, end: 2, text: 'a red car' },
        { start: 2, end: 4, text: 'a tree' },
      ],
    };
    const sidecar = await beside('text', { '.json': JSON.stringify(json) });
    expect([sidecar.transcriptAt(0, 1), sidecar.transcriptAt(50, 51)]).toEqual(['all of it', 'all of it']);
    expect([sidecar.descriptionAt(0, 1), sidecar.descriptionAt(3, 4)]).toEqual(['a red car', 'a tree']);
  });

  it('has another fingerprint when a text changes', async () => {
    const [a, b] = [
      await beside('changed', { '.vtt': VTT }),
      await beside('changed', { '.vtt': `${VTT}\n` }),
    ];
    expect(a.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(b.fingerprint).not.toBe(a.fingerprint);
  });

  it.each([
    ['.json', '{"title":', /not JSON/],
    ['.json', '[1]', /not a JSON object/],
    ['.json', '{"title":3}', /title is no text/],
    ['.json', '{"transcript":7}', /neither text nor a list/],
    ['.json', '{"transcript":[{"start":2,"end":1,"text":"x"}]}', /transcript\[0\] is not/],
    ['.json', '{"description":[null]}', /description\[0\] is not/],
    ['.vtt', Uint8Array.from([0xff, 0xfe, 0x41]), /not UTF-8/],
    ['.srt', 'x'.repeat(9 << 20), /larger than/],
  ])('refuses a %s that cannot be used', async (ending, content, reason) => {
    const name = `bad-${Math.abs(content.length * 31 + reason.source.length)}`;
    await expect(beside(name, { [ending]: content })).rejects.toMatchObject({
      name: 'OpsError',
      type: 'Rejected',
      message: expect.stringMatching(reason),
    });
  });

  it('refuses links and folders, which could lead anywhere', async () => {
    await symlink('/etc/hostname', path.join(folder, 'link.vtt'));
    await expect(readSidecar(path.join(folder, 'link.mp4'))).rejects.toThrow(
      '.vtt beside it: a link, not a file',
    );
    await mkdir(path.join(folder, 'dir.vtt'));
    await expect(readSidecar(path.join(folder, 'dir.mp4'))).rejects.toThrow('.vtt beside it: not a file');
  });
});
