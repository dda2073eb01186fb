/** A segment of a path that has one spelling: it needs no percent-encoding, and is neither `.` nor `..`. */
export const PATH_SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._~:+-]{1,64}$/;

/** The characters of a segment in words, for messages. */
export const PATH_SEGMENT_FORM = '1 to 64 letters, digits, and . _ ~ : + -';

/**
 * True if a path has one spelling, `/segment/segment…`, so that everyone who reads it reads the same.
 *
 * IAM and the function may see different spellings of one request: an HTTP API hands over the path percent-decoded, and
 * AWS does not document which form IAM compares. URL parsers also resolve `..` and drop empty segments.
 */
export function isCanonicalPath(path: string): boolean {
  return (
    path.startsWith('/') &&
    path
      .slice(1)
      .split('/')
      .every((segment) => PATH_SEGMENT.test(segment))
  );
}
