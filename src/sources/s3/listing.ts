import { SIDECAR_SUFFIXES, videoStem } from '../../video/sidecar.js';
import { isVideoName } from '../../video/discover.js';
import { fingerprint } from '../files.js';

/** An object as S3 lists it. */
export interface ListedObject {
  readonly key: string;
  readonly mark: string;
}

/** A video and the mark of it and its side-cars. */
export interface ListedVideo {
  readonly key: string;
  readonly fingerprint: string;
}

/** S3's mark of an object: its size and ETag. */
export function objectMark(size: number, etag: string): string {
  return `${size} ${etag}`;
}

/** A video's own mark and those of its side-cars, in one order. */
export function objectsFingerprint(video: string, sidecars: ReadonlyMap<string, string>): string {
  return fingerprint([
    ['video', video],
    ...SIDECAR_SUFFIXES.map((suffix) => [suffix.slice(1), sidecars.get(suffix)] as const),
  ]);
}

export function isVideoKey(key: string): boolean {
  return isVideoName(key.slice(key.lastIndexOf('/') + 1));
}

interface Group {
  readonly videos: ListedObject[];
  readonly sidecars: Map<string, string>;
}

/**
 * Finds the side-cars of videos in a listing without a request for each. Keys come in order, so all that is about
 * `a/clip`, from `a/clip.json` over `a/clip.mp4` to `a/clip.vtt`, stands between keys that begin with `a/clip.`: a video
 * is complete at the first key that does not. Only those are held; a key has as many as it has dots.
 */
export class SidecarWindow {
  private readonly open = new Map<string, Group>();

  /** @returns videos about which all is known now */
  push(object: ListedObject): ListedVideo[] {
    const complete: ListedVideo[] = [];
    for (const [stem, group] of this.open) {
      if (object.key.startsWith(`${stem}.`)) continue;
      complete.push(...videosOf(group));
      this.open.delete(stem);
    }
    const stem = videoStem(object.key);
    const suffix = object.key.slice(stem.length);
    const isSidecar = SIDECAR_SUFFIXES.some((known) => known === suffix);
    if (!isSidecar && !isVideoKey(object.key)) return complete;
    const group = this.open.get(stem) ?? { videos: [], sidecars: new Map<string, string>() };
    this.open.set(stem, group);
    if (isSidecar) group.sidecars.set(suffix, object.mark);
    else group.videos.push(object);
    return complete;
  }

  /** @returns what was held at the listing's end */
  end(): ListedVideo[] {
    return [...this.open.values()].flatMap(videosOf);
  }
}

function videosOf({ videos, sidecars }: Group): ListedVideo[] {
  return videos.map(({ key, mark }) => ({ key, fingerprint: objectsFingerprint(mark, sidecars) }));
}
