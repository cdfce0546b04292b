import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { orAborted } from '../../orAborted.js';

/** An object as a listing has it. */
export interface S3Object {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
  readonly modifiedAt: Date;
}

/**
 * The objects whose keys begin with a prefix, page by page; general purpose buckets list them by the bytes of their keys.
 *
 * @throws what S3 refuses, as the SDK's exceptions
 */
export async function* objectPages(
  client: S3Client,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  signal?: AbortSignal,
): AsyncGenerator<readonly S3Object[], void> {
  let token: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      // Keys may hold what XML cannot.
      EncodingType: 'url',
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    const page = await orAborted(client.send(command, signal ? { abortSignal: signal } : {}), signal);
    yield (page.Contents ?? []).flatMap(({ Key, Size, ETag, LastModified }) =>
      Key === undefined
        ? []
        : {
            key: decodeKey(Key, page.EncodingType),
            size: Size ?? 0,
            etag: ETag ?? '',
            modifiedAt: LastModified ?? new Date(0),
          },
    );
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
    if (page.IsTruncated && token === undefined) throw new Error('S3 broke a listing off without a token');
  } while (token !== undefined);
}

/** S3 encodes as forms do, a space as `+`; a server that knows no encoding sends keys as they are. */
export function decodeKey(key: string, encoding: string | undefined): string {
  if (encoding !== 'url') return key;
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key;
  }
}
