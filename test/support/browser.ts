import { existsSync } from 'node:fs';
import axe from 'axe-core';
import { chromium, type Page } from 'playwright-core';
import type { RunningConsole } from '../../console/server/index.ts';
import type { LocalRuntime } from '../../local/runtime/index.ts';
import { buildConsole, startLocalConsole } from '../../local/start/index.ts';

/** From Debian's package `chromium`. */
const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Without a browser these tests are skipped, except in CI, where they fail. */
export const isBrowserMissing = !existsSync(CHROMIUM) && process.env.CI === undefined;
export const BROWSER_NOTE = isBrowserMissing ? ` (skipped: no ${CHROMIUM}, which Debian's package chromium has)` : '';

export interface BrowserSession {
  readonly console: RunningConsole;
  /** Opens a page of the console, signed in. Its errors are added to `complaints`. */
  open(path: string, options?: OpenOptions): Promise<Page>;
  /** Script errors, refused content and failed requests of all pages so far. */
  readonly complaints: string[];
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly dark?: boolean;
  readonly width?: number;
  /** Answers that replace those of the service, by path. */
  readonly answers?: Readonly<Record<string, object>>;
}

const HEIGHT = 900;
const WIDTH = 1280;

type ConsoleEndpoints = Parameters<typeof startLocalConsole>[1];

/** Starts a browser with the console of a local system. */
export async function startBrowser(endpoints: ConsoleEndpoints): Promise<BrowserSession> {
  const running = await startLocalConsole(await buildConsole(), endpoints, 0);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  const complaints: string[] = [];
  return {
    console: running,
    complaints,
    async open(path, { dark = false, width = WIDTH, answers = {} } = {}) {
      const context = await browser.newContext({
        colorScheme: dark ? 'dark' : 'light',
        viewport: { width, height: HEIGHT },
        reducedMotion: 'reduce',
      });
      const page = await context.newPage();
      listen(page, complaints);
      for (const [answered, json] of Object.entries(answers)) {
        await context.route(
          ({ pathname }) => pathname === answered,
          (route) => route.fulfill({ json }),
        );
      }
      await page.goto(new URL(path + new URL(running.url).hash, running.url).href);
      await page.getByRole('heading', { level: 1 }).waitFor();
      return page;
    },
    async close() {
      await browser.close();
      await running.close();
    },
  };
}

function listen(page: Page, complaints: string[]): void {
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
  });
}

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** The serious and critical violations that axe-core finds on a page, each with its elements. */
export async function seriousViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<{ violations: Violation[] }>('axe.run()');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
}

const TICK_MS = 300;

/** Runs the orchestrator repeatedly, like its schedule. @returns a function that stops it */
export function keepTicking(runtime: LocalRuntime): () => Promise<void> {
  let isOn = true;
  const running = (async () => {
    while (isOn) {
      await runtime.tick();
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  })();
  return () => {
    isOn = false;
    return running;
  };
}
