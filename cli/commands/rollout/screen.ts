/** Shows lines that change over time. */
export interface Screen {
  draw(lines: readonly string[]): void;
}

const NO_WRAP = '\x1b[?7l';
const WRAP = '\x1b[?7h';
const CLEAR_BELOW = '\x1b[J';

/** Draws over its last output; cuts what does not fit the terminal. */
export function liveScreen(out: NodeJS.WriteStream): Screen {
  let drawn = 0;
  return {
    draw(lines) {
      const shown = lines.slice(0, Math.max(1, (out.rows ?? 24) - 1));
      const up = drawn === 0 ? '' : `\x1b[${drawn}A`;
      out.write(`${up}${CLEAR_BELOW}${NO_WRAP}${shown.join('\n')}\n${WRAP}`);
      drawn = shown.length;
    },
  };
}

/** Prints only the lines that were not in the last draw. */
export function changingLines(print: (line: string) => void): Screen {
  let last: readonly string[] = [];
  return {
    draw(lines) {
      for (const line of lines) if (!last.includes(line)) print(line);
      last = lines;
    },
  };
}
