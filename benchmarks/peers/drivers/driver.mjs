// What every Node peer's driver can do, as commands that print one line of JSON: those of driver.py.
import { createRequire } from 'node:module';

// The peers are installed apart from this file, which is where Node would look for them.
export const require = createRequire(`${process.env.BENCH_MODULES}/`);

const NOTHING = { n: 1 };
const WARM_UP = 10;
const SETTLE_MS = 1500;
const POLL_MS = 5;

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
// Like Python's time.time(), but finer than Date.now().
const clock = () => (performance.timeOrigin + performance.now()) / 1000;
const together = (callers, call) => Promise.all(Array.from({ length: callers }, call));

/** From the first handler's start until the database says that all are done. */
async function drain(driver, { jobs, ...settings }) {
  let handled = 0;
  let began = 0;
  await driver.work(() => {
    if (!handled) began = performance.now();
    handled += 1;
  }, settings);
  while (handled < jobs) await sleep(POLL_MS);
  while (!(await driver.isEmpty())) await sleep(POLL_MS);
  return { seconds: (performance.now() - began) / 1000, handled };
}

/** Single jobs from callers that each wait for their answer. */
async function enqueue(driver, { callers, seconds }) {
  await driver.open(callers);
  for (let n = 0; n < WARM_UP; n++) await driver.enqueue(NOTHING);
  const began = performance.now();
  let jobs = 0;
  await together(callers, async () => {
    while (performance.now() < began + 1000 * seconds) {
      await driver.enqueue(NOTHING);
      jobs += 1;
    }
  });
  return { jobs, seconds: (performance.now() - began) / 1000 };
}

/** Batches from callers that each wait for their answer. */
async function bulk(driver, { jobs, size, callers }) {
  await driver.open(callers);
  await driver.enqueueMany([NOTHING]);
  const batch = Array(size).fill(NOTHING);
  const calls = Math.floor(jobs / size);
  let called = 0;
  const began = performance.now();
  await together(callers, async () => {
    while (called++ < calls) await driver.enqueueMany(batch);
  });
  return { jobs: calls * size, seconds: (performance.now() - began) / 1000 };
}

/** From before the call to the handler's first line, one job after the other. */
async function latency(driver, { jobs, pause_s, ...settings }) {
  const taken = [];
  let wake = () => {};
  await driver.open(2);
  await driver.work(({ at }) => {
    taken.push(1000 * (clock() - at));
    wake();
  }, settings);
  await sleep(SETTLE_MS);
  for (let n = 0; n < WARM_UP + jobs; n++) {
    const started = new Promise((resolve) => { wake = resolve; });
    await driver.enqueue({ at: clock() });
    await started;
    await sleep(1000 * pause_s);
  }
  return { ms: taken.slice(WARM_UP) };
}

const COMMANDS = {
  install: (driver) => driver.install(),
  prefill: (driver, { jobs }) => driver.prefill(jobs),
  drain,
  enqueue,
  bulk,
  latency,
};

/** Run `COMMAND DSN OPTIONS`, and end with the standard input, however whoever holds it dies. */
export async function main(make) {
  const [command, dsn, options] = process.argv.slice(2);
  process.stdin.on('end', () => process.exit(1)).resume();
  const answer = (await COMMANDS[command](make(dsn), JSON.parse(options))) ?? {};
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
}
