/** Shows lines that change. */
export interface Screen {
  draw(lines: readonly string[]): void;
}

const NO_WRAP = '\x1b[?7l';
const WRAP = '\x1b[?7h';
const CLEAR_BELOW = '\x1b[J';

/** Draws over what it drew before; what does not fit the terminal is cut. */
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

/** Prints the lines that it has not just printed. */
export function changingLines(print: (line: string) => void): Screen {
  let last: readonly string[] = [];
  return {
    draw(lines) {
      for (const line of lines) if (!last.includes(line)) print(line);
      last = lines;
    },
  };
}
