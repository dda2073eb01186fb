import type { ImageDownload, OpenImage } from './install-image.ts';
import { OtaFailure } from './ota-failure.ts';

/** Makes the first `times` downloads fail after half of the image. */
export function failFirstDownloads(times: number, open: OpenImage): OpenImage {
  let left = times;
  return async (url, signal) => {
    const image = await open(url, signal);
    if (left === 0) return image;
    left -= 1;
    return { ...image, body: firstHalf(image) };
  };
}

async function* firstHalf({ contentLength, body }: ImageDownload): AsyncGenerator<Uint8Array> {
  let left = Math.floor(contentLength / 2);
  for await (const chunk of body) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) throw new OtaFailure(2, 'the radio lost the connection half-way');
  }
}
