/**
 * The exclusive lock on a data directory. Node cannot ask for a file lock (no flock, no fcntl), so each system uses
 * something else that its kernel takes back by itself when the process dies, also by `kill -9`:
 *
 * - Linux: a socket in the abstract namespace whose name is the directory's device and inode. Binding is atomic and leaves
 *   nothing behind. That namespace ends at a container's edge, so there is also a socket *file* in the directory,
 *   `.lock.socket`: whoever finds one and can connect to it has found a living holder in another container; one that
 *   refuses is left over and replaced. (Two containers that replace a left-over socket in the same instant are not kept
 *   apart, and neither are two machines on a network file system.)
 * - macOS and Windows: `.lock` opened with the system's exclusive flag.
 *
 * A Kafka broker on the directory holds a POSIX lock on `.lock`; Linux lists those in /proc/locks, so that one is noticed
 * too. `.lock` itself stays an ordinary file, as Kafka's; it names the holder for people to read.
 */
import fs from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import { type DiskLock, LockedError } from './disk.ts'

/** libuv's UV_FS_O_EXLOCK: O_EXLOCK on macOS, no sharing on Windows. */
const EXCLUSIVE = { darwin: 0x20, win32: 0x10000000 } as const

/** Takes the lock that the file at `path` stands for; the directory exists. Rejects with LockedError. */
export async function lockDirectory(path: string): Promise<DiskLock> {
  if (process.platform === 'linux') return lockOnLinux(path)
  const flag = process.platform in EXCLUSIVE ? EXCLUSIVE[process.platform as 'darwin'] : 0
  const { O_RDWR, O_CREAT, O_NONBLOCK } = fs.constants
  let fd: number
  try {
    fd = fs.openSync(path, O_RDWR | O_CREAT | (O_NONBLOCK ?? 0) | flag, 0o644)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['EAGAIN', 'EWOULDBLOCK', 'EBUSY'].includes(code))
      throw new LockedError(path, readHolder(path))
    throw error
  }
  writeHolder(fd)
  return {
    release: async () => {
      fs.closeSync(fd)
    },
  }
}

async function lockOnLinux(path: string): Promise<DiskLock> {
  const { dev, ino } = fs.statSync(dirname(path))
  const abstract = await listen(`\0ottla-data-${dev}-${ino}`)
  if (abstract === null) throw new LockedError(path, readHolder(path))
  try {
    const foreign = posixLockHolder(path)
    if (foreign !== null)
      throw new LockedError(path, `process ${foreign} (Apache Kafka, or another program)`)
    const closeFile = await listenInDirectory(path)
    const fd = fs.openSync(path, 'a+')
    try {
      fs.ftruncateSync(fd, 0)
      writeHolder(fd)
    } finally {
      fs.closeSync(fd)
    }
    return {
      release: async () => {
        await closeFile?.()
        await close(abstract)
      },
    }
  } catch (error) {
    await close(abstract)
    throw error
  }
}

/** Listens on the socket file beside `path`; null where the file system has no sockets. */
async function listenInDirectory(path: string): Promise<(() => Promise<void>) | null> {
  // Through the descriptor the name stays short: socket names have room for about 100 characters. It must stay open
  // as long as the server, which removes the file by this name when it closes.
  const directory = fs.openSync(dirname(path), 'r')
  try {
    const name = `/proc/self/fd/${directory}/.lock.socket`
    if (await answers(name)) throw new LockedError(path, readHolder(path))
    fs.rmSync(name, { force: true })
    const server = await listen(name)
    if (server === null) throw new LockedError(path, readHolder(path))
    return async () => {
      await close(server)
      fs.closeSync(directory)
    }
  } catch (error) {
    fs.closeSync(directory)
    if (error instanceof LockedError) throw error
    return null
  }
}

/** null if the name is taken. */
function listen(name: string): Promise<net.Server | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer(socket => socket.destroy())
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null)
      else reject(error)
    })
    // exclusive: in a cluster worker the primary would otherwise listen, and outlive us.
    server.listen({ path: name, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function answers(name: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect({ path: name })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

function close(server: net.Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()))
}

/** Process that holds a POSIX lock on the file, from /proc/locks; null if there is none, or it cannot be known. */
function posixLockHolder(path: string): string | null {
  try {
    const { ino } = fs.statSync(path)
    for (const line of fs.readFileSync('/proc/locks', 'utf8').split('\n')) {
      const fields = line.trim().split(/\s+/)
      // 1: POSIX ADVISORY WRITE pid major:minor:inode start end. Devices are not compared: their numbers differ on
      // some file systems from what stat says.
      if (fields[1] === 'POSIX' && fields[5]?.split(':')[2] === String(ino)) return fields[4]!
    }
  } catch {
    // No such file, or no /proc.
  }
  return null
}

function writeHolder(fd: number): void {
  fs.writeSync(fd, `process ${process.pid} since ${new Date().toISOString()}\n`)
}

function readHolder(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
