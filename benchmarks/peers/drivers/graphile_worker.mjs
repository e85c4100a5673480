// Graphile Worker with its local queue and batched completion.
import { main, require } from './driver.mjs';

const { Logger, makeWorkerUtils, run } = require('graphile-worker');
const { Client } = require('pg');

const logger = new Logger(() => () => {});
const SPECS = 20_000;
const PREFILL = `
select count(*) from graphile_worker.add_jobs(array(
  select row('noop', '{"n":1}'::json, null, null, null, null, null, null)::graphile_worker.job_spec
  from generate_series(1, $1)
))`;

/** A job's row is deleted when it is done; there is no history. */
function graphileWorker(connectionString) {
  let utils;
  let watching;
  return {
    async install() {
      utils = await makeWorkerUtils({ connectionString, logger });
      await utils.migrate();
    },
    async prefill(jobs) {
      const client = new Client({ connectionString });
      await client.connect();
      for (let left = jobs; left > 0; left -= SPECS) {
        await client.query(PREFILL, [Math.min(left, SPECS)]);
      }
      await client.end();
    },
    async open(connections) {
      utils = await makeWorkerUtils({ connectionString, maxPoolSize: connections, logger });
    },
    enqueue: (payload) => utils.addJob('noop', payload),
    enqueueMany: (payloads) =>
      utils.addJobs(payloads.map((payload) => ({ identifier: 'noop', payload }))),
    async work(handle, { concurrent, queue, delay_ms }) {
      watching = new Client({ connectionString });
      await watching.connect();
      const worker = {
        connectionString,
        concurrentJobs: concurrent,
        maxPoolSize: 10,
        pollInterval: 2000,
        localQueue: { size: queue },
        completeJobBatchDelay: delay_ms,
        failJobBatchDelay: delay_ms,
        logger,
      };
      const taskList = { noop: async (payload) => handle(payload) };
      await run({ preset: { worker }, noHandleSignals: true, taskList, crontab: '' });
    },
    async isEmpty() {
      const { rows } = await watching.query(
        'select not exists (select from graphile_worker._private_jobs) as empty',
      );
      return rows[0].empty;
    },
  };
}

await main(graphileWorker);
