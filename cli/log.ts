/**
 * `ottla log`: looking into the files of a data directory, Kafka's or ours, with or without a broker at work on them.
 * Nothing is ever written.
 */
import type { Command } from 'commander'
import { SystemDisk } from '../segment-store/system-disk.ts'
import type { CliContext } from './context.ts'
import type { DumpOptions } from './log-dump-text.ts'
import type { VerifyOptions } from './log-verify.ts'
import { positiveInteger } from './options.ts'

const DEFAULT_DIRECTORY = './ottla-data'

const DUMP_HELP = `
A path is a file of a log (.log, .index, .timeindex, .txnindex, .snapshot, leader-epoch-checkpoint), the directory of
one log (orders-0), or a data directory. The text is that of Kafka's own dump tool.`

const VERIFY_HELP = `
A directory is that of one log (orders-0) or a data directory. A broker may be at work there.

Exit codes of verify:
  0  everything was checked and is as it should be
  1  problems were found; each is named with its file and position
  2  wrong usage, or no log in what was named`

/** Adds `ottla log dump` and `ottla log verify`. */
export function registerLog(program: Command, context: CliContext): void {
  const log = program.command('log').description('look into the files of a data directory')
  log
    .command('dump <path...>')
    .description('print batches, records, indexes, producer snapshots, leader epochs')
    .option('--deep', 'also every record of a batch, without its key and value')
    .option('--print-data-log', 'also every record of a batch, with its key and value')
    .option(
      '--offsets-decoder',
      'keys and values are those of __consumer_offsets: what groups keep',
    )
    .option('--max-batches <number>', 'stop in each file after so many', positiveInteger)
    .option('--json', 'print one JSON object a line')
    .option('--verbose', 'show where an error comes from')
    .addHelpText('after', DUMP_HELP)
    .action(async (paths: string[], options: DumpOptions) => {
      const { dumpPaths } = await import('./log-dump.ts')
      await dumpPaths(new SystemDisk(), paths, options, context.terminal)
    })
  log
    .command('verify [directory...]')
    .description('check every batch, record, index and snapshot; change nothing')
    .option('--json', 'print one JSON object a line')
    .option('--quiet', 'no progress')
    .option('--verbose', 'show where an error comes from')
    .addHelpText('after', VERIFY_HELP)
    .action(async (given: string[], options: VerifyOptions) => {
      const directories = given.length === 0 ? [DEFAULT_DIRECTORY] : given
      const { verifyDirectories } = await import('./log-verify.ts')
      await verifyDirectories(new SystemDisk(), directories, options, context.terminal)
    })
}
