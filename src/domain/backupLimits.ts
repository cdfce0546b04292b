const MIB = 1024 * 1024;

/**
 * What a backup may hold at most. A writer refuses to exceed them and a reader refuses what does, so neither a faulty
 * writer nor a hostile file costs more memory or disk than this.
 */
export const BACKUP_LIMITS = {
  /** Bytes of the manifest: some 35,000 parts. */
  manifestBytes: 16 * MIB,
  /** Bytes of one part, as it is stored and as plain text. */
  partBytes: 4096 * MIB,
  /** Bytes of a configuration with all its versions, and of one schema; these are read as a whole. */
  configBytes: 64 * MIB,
  schemaBytes: 4 * MIB,
  /** Bytes of one line: a document of Vespa's own limit of 128 MiB, its tensors in hex. */
  lineBytes: 256 * MIB,
  /** Most bytes that a decompressor may look back: 2 to the power of this. */
  windowLog: 23,
} as const;
