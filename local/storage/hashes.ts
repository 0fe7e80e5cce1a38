/** What a client says that the bytes of its object hash to, in base64. */
export type ExpectedHashes = { crc32c?: string | undefined; md5Hash?: string | undefined };

/** Reads the hashes in an object's resource. */
export function readExpectedHashes({ crc32c, md5Hash }: Record<string, unknown>): ExpectedHashes {
  return {
    ...(typeof crc32c === 'string' && { crc32c }),
    ...(typeof md5Hash === 'string' && { md5Hash }),
  };
}

/** Reads `x-goog-hash: crc32c=…,md5=…`. */
export function readHashHeader(header: string | string[] | undefined): ExpectedHashes {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  const crc32c = /(?:^|,)\s*crc32c=([^,\s]+)/.exec(text)?.[1];
  const md5Hash = /(?:^|,)\s*md5=([^,\s]+)/.exec(text)?.[1];
  return { ...(crc32c !== undefined && { crc32c }), ...(md5Hash !== undefined && { md5Hash }) };
}

/** Whether an upload's answer is to tell the MD5. Whoever has had the CRC32C checked has no use for another hash of the same bytes. */
export function needsMd5({ crc32c, md5Hash }: ExpectedHashes = {}): boolean {
  return md5Hash !== undefined || crc32c === undefined;
}
