// pg-boss, woken by NOTIFY.
import { main, require } from './driver.mjs';

const { PgBoss } = require('pg-boss');
const { Client } = require('pg');

const BATCH = 10_000;

/** Finished jobs are kept for seven days. */
function pgBoss(connectionString) {
  let boss;
  let watching;
  const start = async (max) => {
    const started = new PgBoss({ connectionString, max, useListenNotify: true });
    started.on('error', (error) => console.error(error.message));
    await started.start();
    return started;
  };
  const insert = (payloads) => boss.insert('noop', payloads.map((data) => ({ data })));
  return {
    async install() {
      await (await start(2)).createQueue('noop', { notify: true });
    },
    async prefill(jobs) {
      boss = await start(2);
      for (let left = jobs; left > 0; left -= BATCH) {
        await insert(Array(Math.min(left, BATCH)).fill({ n: 1 }));
      }
    },
    async open(connections) {
      boss = await start(connections);
    },
    enqueue: (payload) => boss.send('noop', payload),
    enqueueMany: insert,
    async work(handle, { batch, workers }) {
      watching = new Client({ connectionString });
      await watching.connect();
      const options = {
        batchSize: batch,
        localConcurrency: workers,
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
      };
      await (await start(10)).work('noop', options, async (jobs) => {
        for (const job of jobs) handle(job.data);
      });
    },
    async isEmpty() {
      const { rows } = await watching.query(
        "select not exists (select from pgboss.job where name = 'noop' and state < 'completed') as empty",
      );
      return rows[0].empty;
    },
  };
}

await main(pgBoss);
