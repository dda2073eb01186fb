import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** States of an image, ESP-IDF's `esp_ota_img_states_t`. */
const NEW = 0;
const PENDING_VERIFY = 1;
const VALID = 2;
const ABORTED = 4;

/** ESP-IDF's `esp_reset_reason_t`. */
const POWER_ON = 1;
const RESTART = 3;
const PANIC = 4;

/** With this code the program of a board ends for a restart; host/board.c. */
const RESTART_EXIT_CODE = 100;

const ELF = Buffer.from('\x7fELF', 'latin1');

type Slot = 0 | 1;

export interface Boot {
  readonly slot: Slot;
  readonly state: number;
}

/**
 * A board with two partitions. Its images hold a program for this machine as their code; the bootloader here starts it,
 * and starts again when it ends: with the image that is selected, or the one before if the selected image was started
 * without being marked valid.
 */
export class Board {
  readonly folder = mkdtempSync(join(tmpdir(), 'paku-ota-board-'));
  readonly boots: Boot[] = [];
  /** What the programs printed. */
  output = '';
  #program: ChildProcess | undefined;
  #isOn = false;

  /** @param network name of the only Wi-Fi network there is */
  constructor(
    image: Buffer,
    readonly network = 'van',
  ) {
    writeFileSync(join(this.folder, 'ota_0'), image);
    this.#write(0, [VALID, ABORTED]);
  }

  /** Writes an image into the other partition and selects it, as an update does. */
  select(image: Buffer): void {
    writeFileSync(join(this.folder, 'ota_1'), image);
    this.#write(1, [VALID, NEW]);
  }

  powerOn(): void {
    this.#isOn = true;
    this.#boot(POWER_ON);
  }

  /** Cuts the power: nothing is said, and the state of partitions stays. */
  powerOff(): void {
    this.#isOn = false;
    this.#program?.kill('SIGKILL');
  }

  /** Cuts the power and removes the board's files. */
  async remove(): Promise<void> {
    const ended = this.#program && once(this.#program, 'exit');
    this.powerOff();
    if (this.#program?.exitCode === null && this.#program.signalCode === null) await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The states of both images, and which is selected. */
  read(): { boot: Slot; states: [number, number] } {
    const [boot, ...states] = readFileSync(join(this.folder, 'otadata'), 'utf8').trim().split(' ').map(Number);
    return { boot: boot === 1 ? 1 : 0, states: [states[0] ?? ABORTED, states[1] ?? ABORTED] };
  }

  #write(boot: Slot, states: [number, number]): void {
    writeFileSync(join(this.folder, 'otadata'), `${boot} ${states.join(' ')}\n`);
  }

  /** As ESP-IDF's bootloader does with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE. */
  #select(): Slot {
    const { boot, states } = this.read();
    const other = boot === 0 ? 1 : 0;
    if (states[boot] === NEW) states[boot] = PENDING_VERIFY;
    else if (states[boot] === PENDING_VERIFY) states[boot] = ABORTED;
    const slot = states[boot] === ABORTED ? other : boot;
    this.#write(slot, states);
    return slot;
  }

  #boot(reason: number): void {
    const slot = this.#select();
    this.boots.push({ slot, state: this.read().states[slot] });
    const program = spawn(this.#unpack(slot), {
      env: {
        BOARD_DIR: this.folder,
        BOARD_SLOT: String(slot),
        BOARD_RESET_REASON: String(reason),
        BOARD_SSID: this.network,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#program = program;
    for (const stream of [program.stdout, program.stderr])
      stream.on('data', (text: Buffer) => {
        this.output += text.toString();
      });
    program.on('exit', (code) => {
      if (this.#isOn) this.#boot(code === RESTART_EXIT_CODE ? RESTART : PANIC);
    });
  }

  #unpack(slot: Slot): string {
    const image = readFileSync(join(this.folder, `ota_${slot}`));
    const file = join(this.folder, `program-${this.boots.length}`);
    if (existsSync(file)) throw new Error(`${file} exists`);
    writeFileSync(file, image.subarray(image.indexOf(ELF)));
    chmodSync(file, 0o700);
    return file;
  }
}
