/* The VFS that SQLite sees: files below a volume's folder are in memory, all others go to the system's own VFS. */
#include "disk.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

SQLITE_EXTENSION_INIT3

struct Handle {
  sqlite3_file base;
  Volume *volume;
  Inode *inode;
  Entry *entry;      /* valid while the handle is of the volume's generation */
  int generation;
  int level;         /* SQLITE_LOCK_* */
  int readonly;
  int syncsNames;    /* a new journal or log: its first sync syncs the folder, as the system's VFS does */
  int usesShm;
  unsigned shmShared, shmExclusive;
};

static sqlite3_vfs *systemVfs = 0;
static Chance randomness;

/* ---- faults ---- */

enum Gate { GATE_OPEN, GATE_DEAD, GATE_LAST };

/* Every I/O call passes here. GATE_LAST is the one during which the machine dies. */
static enum Gate gate(Volume *volume, int changes) {
  if (!volume->powered) return GATE_DEAD;
  Faults *faults = &volume->faults;
  int last = 0;
  volume->stats.calls += 1;
  if (faults->crashAtCall > 0 && --faults->crashAtCall == 0) last = 1;
  if (changes) {
    volume->stats.changes += 1;
    if (faults->crashAtChange > 0 && --faults->crashAtChange == 0) last = 1;
  }
  return last ? GATE_LAST : GATE_OPEN;
}

static void die(Volume *volume) {
  volume->powered = 0;
  volume->fired = 1;
  volume->stats.firedCrashes += 1;
  diskFired(volume);
}

static int fails(Volume *volume, enum FaultKind kind) {
  Faults *faults = &volume->faults;
  if (faults->countdown[kind] > 0 && --faults->countdown[kind] == 0) return 1;
  return faults->perMillion[kind] > 0 && chanceBelow(&volume->chance, 1000000) < faults->perMillion[kind];
}

static int isDead(Handle *handle) {
  return !handle->volume->powered || handle->generation != handle->volume->generation;
}

/* ---- files ---- */

static int fileUnlock(sqlite3_file *file, int level);
static int fileShmUnmap(sqlite3_file *file, int deletes);

static int fileClose(sqlite3_file *file) {
  Handle *handle = (Handle *)file;
  fileUnlock(file, SQLITE_LOCK_NONE);
  fileShmUnmap(file, 0);
  inodeRelease(handle->inode);
  volumeRelease(handle->volume);
  diskHandles -= 1;
  return SQLITE_OK;
}

static int fileRead(sqlite3_file *file, void *to, int amount, i64 offset) {
  Handle *handle = (Handle *)file;
  Volume *volume = handle->volume;
  if (isDead(handle)) return SQLITE_IOERR_READ;
  switch (gate(volume, 0)) {
    case GATE_DEAD:
      return SQLITE_IOERR_READ;
    case GATE_LAST:
      die(volume);
      return SQLITE_IOERR_READ;
    default:
      break;
  }
  volume->stats.reads += 1;
  if (fails(volume, FAULT_READ)) {
    volume->stats.readErrors += 1;
    return SQLITE_IOERR_READ;
  }
  Image *image = &handle->inode->volatile_;
  i64 there = image->size - offset;
  if (there >= amount) {
    memcpy(to, image->data + offset, (size_t)amount);
    return SQLITE_OK;
  }
  if (there < 0) there = 0;
  if (there > 0) memcpy(to, image->data + offset, (size_t)there);
  memset((char *)to + there, 0, (size_t)(amount - there));
  return SQLITE_IOERR_SHORT_READ;
}

static int fileWrite(sqlite3_file *file, const void *from, int amount, i64 offset) {
  Handle *handle = (Handle *)file;
  Volume *volume = handle->volume;
  Inode *inode = handle->inode;
  if (isDead(handle)) return SQLITE_IOERR_WRITE;
  switch (gate(volume, 1)) {
    case GATE_DEAD:
      return SQLITE_IOERR_WRITE;
    case GATE_LAST:
      /* It was under way: the crash decides what of it is there. */
      inodeWrite(volume, inode, from, amount, offset);
      die(volume);
      return SQLITE_IOERR_WRITE;
    default:
      break;
  }
  volume->stats.writes += 1;
  i64 growth = offset + amount - inode->volatile_.size;
  if (volume->faults.bytesMax > 0 && growth > 0 && volume->used + growth > volume->faults.bytesMax) {
    volume->stats.full += 1;
    return SQLITE_FULL;
  }
  if (fails(volume, FAULT_SHORT)) {
    int part = (int)chanceBelow(&volume->chance, amount);
    volume->stats.shortWrites += 1;
    if (part > 0) inodeWrite(volume, inode, from, part, offset);
    return SQLITE_FULL;
  }
  if (fails(volume, FAULT_WRITE)) {
    int part = (int)chanceBelow(&volume->chance, 2) ? (int)chanceBelow(&volume->chance, amount + 1) : 0;
    volume->stats.writeErrors += 1;
    if (part > 0) inodeWrite(volume, inode, from, part, offset);
    return SQLITE_IOERR_WRITE;
  }
  return inodeWrite(volume, inode, from, amount, offset);
}

static int fileTruncate(sqlite3_file *file, i64 size) {
  Handle *handle = (Handle *)file;
  Volume *volume = handle->volume;
  if (isDead(handle)) return SQLITE_IOERR_TRUNCATE;
  switch (gate(volume, 1)) {
    case GATE_DEAD:
      return SQLITE_IOERR_TRUNCATE;
    case GATE_LAST:
      inodeCut(volume, handle->inode, size);
      die(volume);
      return SQLITE_IOERR_TRUNCATE;
    default:
      break;
  }
  volume->stats.cuts += 1;
  return inodeCut(volume, handle->inode, size);
}

static void syncName(Handle *handle) {
  if (handle->syncsNames) {
    volumeSyncNames(handle->volume);
    handle->syncsNames = 0;
    return;
  }
  Entry *entry = handle->entry;
  /* A file system with a journal makes a new file's name durable with its content. */
  if (!entry || entry->current != handle->inode || entry->durable == entry->current) return;
  inodeRelease(entry->durable);
  entry->durable = entry->current;
  entry->durable->references += 1;
}

static int fileSync(sqlite3_file *file, int flags) {
  Handle *handle = (Handle *)file;
  Volume *volume = handle->volume;
  (void)flags;
  if (isDead(handle)) return SQLITE_IOERR_FSYNC;
  switch (gate(volume, 1)) {
    case GATE_DEAD:
      return SQLITE_IOERR_FSYNC;
    case GATE_LAST:
      die(volume);
      return SQLITE_IOERR_FSYNC;
    default:
      break;
  }
  volume->stats.syncs += 1;
  if (fails(volume, FAULT_SYNC)) {
    inodeFailSync(volume, handle->inode);
    return SQLITE_IOERR_FSYNC;
  }
  syncName(handle);
  return inodeSync(handle->inode);
}

static int fileSize(sqlite3_file *file, i64 *size) {
  Handle *handle = (Handle *)file;
  if (isDead(handle)) return SQLITE_IOERR_FSTAT;
  *size = handle->inode->volatile_.size;
  return SQLITE_OK;
}

/* ---- locks ---- */

static int fileLock(sqlite3_file *file, int level) {
  Handle *handle = (Handle *)file;
  Inode *inode = handle->inode;
  if (isDead(handle)) return SQLITE_IOERR_LOCK;
  if (level <= handle->level) return SQLITE_OK;
  if (level == SQLITE_LOCK_SHARED) {
    if (inode->pending || inode->exclusive) return SQLITE_BUSY;
    inode->sharedLocks += 1;
    handle->level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
  }
  if (inode->reserved && inode->reserved != handle) return SQLITE_BUSY;
  if (inode->pending && inode->pending != handle) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_RESERVED) {
    inode->reserved = handle;
    handle->level = SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
  }
  inode->pending = handle;
  if (handle->level < SQLITE_LOCK_PENDING) handle->level = SQLITE_LOCK_PENDING;
  if (inode->sharedLocks > 1) return SQLITE_BUSY;
  inode->exclusive = handle;
  handle->level = SQLITE_LOCK_EXCLUSIVE;
  return SQLITE_OK;
}

static int fileUnlock(sqlite3_file *file, int level) {
  Handle *handle = (Handle *)file;
  Inode *inode = handle->inode;
  if (level >= handle->level) return SQLITE_OK;
  if (inode->exclusive == handle) inode->exclusive = 0;
  if (inode->pending == handle) inode->pending = 0;
  if (inode->reserved == handle) inode->reserved = 0;
  if (level == SQLITE_LOCK_NONE && handle->level >= SQLITE_LOCK_SHARED) inode->sharedLocks -= 1;
  handle->level = level;
  return SQLITE_OK;
}

static int fileCheckReservedLock(sqlite3_file *file, int *held) {
  Handle *handle = (Handle *)file;
  if (isDead(handle)) return SQLITE_IOERR_CHECKRESERVEDLOCK;
  *held = handle->inode->reserved != 0 || handle->inode->pending != 0;
  return SQLITE_OK;
}

static int fileControl(sqlite3_file *file, int operation, void *argument) {
  Handle *handle = (Handle *)file;
  switch (operation) {
    case SQLITE_FCNTL_LOCKSTATE:
      *(int *)argument = handle->level;
      return SQLITE_OK;
    case SQLITE_FCNTL_HAS_MOVED:
      *(int *)argument = 0;
      return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
      *(char **)argument = sqlite3_mprintf("tillway");
      return SQLITE_OK;
    default:
      return SQLITE_NOTFOUND;
  }
}

static int fileSectorSize(sqlite3_file *file) {
  (void)file;
  return 4096;
}

/* As the system's VFS says of every disk: a write does not harm the bytes beside it. */
static int fileCharacteristics(sqlite3_file *file) {
  (void)file;
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- the shared index of the write-ahead log, on the heap: all connections are of this process ---- */

static int fileShmMap(sqlite3_file *file, int region, int bytes, int extends, void volatile **to) {
  Handle *handle = (Handle *)file;
  Inode *inode = handle->inode;
  *to = 0;
  if (isDead(handle)) return SQLITE_IOERR_SHMMAP;
  if (!handle->usesShm) {
    handle->usesShm = 1;
    inode->shmUsers += 1;
  }
  if (region >= inode->shmRegions) {
    if (!extends) return SQLITE_OK;
    char **regions = realloc(inode->shm, sizeof(char *) * (size_t)(region + 1));
    if (!regions) return SQLITE_IOERR_NOMEM;
    inode->shm = regions;
    while (inode->shmRegions <= region) {
      char *memory = calloc(1, (size_t)bytes);
      if (!memory) return SQLITE_IOERR_NOMEM;
      inode->shm[inode->shmRegions++] = memory;
    }
  }
  *to = inode->shm[region];
  return SQLITE_OK;
}

static void shmRelease(Handle *handle, int slot) {
  unsigned bit = 1u << slot;
  if (handle->shmShared & bit) handle->inode->shmShared[slot] -= 1;
  if (handle->shmExclusive & bit) handle->inode->shmExclusive[slot] = 0;
  handle->shmShared &= ~bit;
  handle->shmExclusive &= ~bit;
}

static int fileShmLock(sqlite3_file *file, int first, int count, int flags) {
  Handle *handle = (Handle *)file;
  Inode *inode = handle->inode;
  if (flags & SQLITE_SHM_UNLOCK) {
    for (int slot = first; slot < first + count; slot += 1) shmRelease(handle, slot);
    return SQLITE_OK;
  }
  if (isDead(handle)) return SQLITE_IOERR_SHMLOCK;
  for (int slot = first; slot < first + count; slot += 1) {
    unsigned bit = 1u << slot;
    if (inode->shmExclusive[slot] && inode->shmExclusive[slot] != handle) return SQLITE_BUSY;
    if ((flags & SQLITE_SHM_EXCLUSIVE) && inode->shmShared[slot] > ((handle->shmShared & bit) ? 1 : 0)) {
      return SQLITE_BUSY;
    }
  }
  for (int slot = first; slot < first + count; slot += 1) {
    unsigned bit = 1u << slot;
    if (flags & SQLITE_SHM_EXCLUSIVE) {
      handle->shmExclusive |= bit;
      inode->shmExclusive[slot] = handle;
    } else if (!(handle->shmShared & bit)) {
      handle->shmShared |= bit;
      inode->shmShared[slot] += 1;
    }
  }
  return SQLITE_OK;
}

static void fileShmBarrier(sqlite3_file *file) { (void)file; }

static int fileShmUnmap(sqlite3_file *file, int deletes) {
  Handle *handle = (Handle *)file;
  (void)deletes;
  if (!handle->usesShm) return SQLITE_OK;
  for (int slot = 0; slot < SHM_SLOTS; slot += 1) shmRelease(handle, slot);
  handle->usesShm = 0;
  if (--handle->inode->shmUsers == 0) inodeDropShm(handle->inode);
  return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
  2, fileClose, fileRead, fileWrite, fileTruncate, fileSync, fileSize, fileLock, fileUnlock, fileCheckReservedLock,
  fileControl, fileSectorSize, fileCharacteristics, fileShmMap, fileShmLock, fileShmBarrier, fileShmUnmap, 0, 0,
};

/* ---- the VFS ---- */

#define NEW_NAME_SYNCS \
  (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

/* Whoever looks for a database by other means than SQLite finds an empty file of its name. */
static void makeRealFile(const char *path, int flags) {
  if (!(flags & SQLITE_OPEN_MAIN_DB)) return;
  int descriptor = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor >= 0) close(descriptor);
}

/* Makes the file, or finds it. */
static int findEntry(Volume *volume, const char *path, int flags, Entry **found) {
  Entry *entry = volumeEntry(volume, path, 0);
  if (entry && entry->current) {
    *found = entry;
    return (flags & SQLITE_OPEN_EXCLUSIVE) ? SQLITE_CANTOPEN : SQLITE_OK;
  }
  if (!(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
  switch (gate(volume, 1)) {
    case GATE_DEAD:
      return SQLITE_IOERR;
    case GATE_LAST:
      die(volume);
      return SQLITE_IOERR;
    default:
      break;
  }
  entry = volumeEntry(volume, path, 1);
  if (!entry) return SQLITE_NOMEM;
  entry->current = inodeNew();
  if (!entry->current) return SQLITE_NOMEM;
  entry->current->references = 1;
  makeRealFile(path, flags);
  volume->stats.creations += 1;
  *found = entry;
  return SQLITE_OK;
}

static int vfsOpen(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *outFlags) {
  Volume *volume = volumeOfPath(path);
  (void)vfs;
  if (!volume) return systemVfs->xOpen(systemVfs, path, file, flags, outFlags);
  Handle *handle = (Handle *)file;
  Entry *entry = 0;
  memset(handle, 0, sizeof *handle);
  if (!volume->powered) return SQLITE_IOERR;
  Entry *old = volumeEntry(volume, path, 0);
  int isNew = !old || !old->current;
  int rc = findEntry(volume, path, flags, &entry);
  if (rc) return rc;
  handle->base.pMethods = &methods;
  handle->volume = volume;
  handle->entry = entry;
  handle->inode = entry->current;
  handle->generation = volume->generation;
  handle->readonly = (flags & SQLITE_OPEN_READONLY) != 0;
  handle->syncsNames = isNew && (flags & NEW_NAME_SYNCS) != 0;
  volume->references += 1;
  entry->current->references += 1;
  diskHandles += 1;
  if (outFlags) *outFlags = flags;
  return SQLITE_OK;
}

static int vfsDelete(sqlite3_vfs *vfs, const char *path, int syncsFolder) {
  Volume *volume = volumeOfPath(path);
  (void)vfs;
  if (!volume) return systemVfs->xDelete(systemVfs, path, syncsFolder);
  Entry *entry = volumeEntry(volume, path, 0);
  if (!volume->powered) return SQLITE_IOERR_DELETE;
  if (!entry || !entry->current) return SQLITE_IOERR_DELETE_NOENT;
  enum Gate passes = gate(volume, 1);
  if (passes == GATE_DEAD) return SQLITE_IOERR_DELETE;
  volume->stats.deletions += 1;
  volume->used -= entry->current->volatile_.size;
  inodeRelease(entry->current);
  entry->current = 0;
  if (passes == GATE_LAST) {
    die(volume);
    return SQLITE_IOERR_DELETE;
  }
  if (syncsFolder) volumeSyncNames(volume);
  return SQLITE_OK;
}

static int vfsAccess(sqlite3_vfs *vfs, const char *path, int flags, int *result) {
  Volume *volume = volumeOfPath(path);
  (void)vfs;
  if (!volume) return systemVfs->xAccess(systemVfs, path, flags, result);
  if (!volume->powered) return SQLITE_IOERR_ACCESS;
  Entry *entry = volumeEntry(volume, path, 0);
  /* An empty file does not count as one, as with the system's VFS. */
  *result = entry && entry->current && (flags != SQLITE_ACCESS_EXISTS || entry->current->volatile_.size > 0);
  return SQLITE_OK;
}

static int vfsFullPathname(sqlite3_vfs *vfs, const char *path, int size, char *to) {
  (void)vfs;
  if (volumeOfPath(path) && (int)strlen(path) < size) {
    strcpy(to, path);
    return SQLITE_OK;
  }
  return systemVfs->xFullPathname(systemVfs, path, size, to);
}

static void *vfsDlOpen(sqlite3_vfs *vfs, const char *path) {
  (void)vfs;
  return systemVfs->xDlOpen(systemVfs, path);
}

static void vfsDlError(sqlite3_vfs *vfs, int size, char *to) {
  (void)vfs;
  systemVfs->xDlError(systemVfs, size, to);
}

static void (*vfsDlSym(sqlite3_vfs *vfs, void *library, const char *name))(void) {
  (void)vfs;
  return systemVfs->xDlSym(systemVfs, library, name);
}

static void vfsDlClose(sqlite3_vfs *vfs, void *library) {
  (void)vfs;
  systemVfs->xDlClose(systemVfs, library);
}

static int vfsRandomness(sqlite3_vfs *vfs, int amount, char *to) {
  (void)vfs;
  for (int at = 0; at < amount; at += 1) to[at] = (char)(chanceNext(&randomness) >> 56);
  return amount;
}

/* No real time passes: who waits for a lock in a process of one thread waits for itself. */
static int vfsSleep(sqlite3_vfs *vfs, int microseconds) {
  (void)vfs;
  return microseconds;
}

/* 2026-01-05 09:00 as a Julian day in milliseconds. The product takes its time from its own clock. */
#define NOW_JULIAN_MS 212634406800000LL

static int vfsCurrentTimeInt64(sqlite3_vfs *vfs, i64 *now) {
  (void)vfs;
  *now = NOW_JULIAN_MS;
  return SQLITE_OK;
}

static int vfsCurrentTime(sqlite3_vfs *vfs, double *now) {
  (void)vfs;
  *now = (double)NOW_JULIAN_MS / 86400000.0;
  return SQLITE_OK;
}

static int vfsLastError(sqlite3_vfs *vfs, int size, char *to) {
  (void)vfs;
  if (size > 0) to[0] = 0;
  return 0;
}

static sqlite3_vfs diskVfs = {
  2, sizeof(Handle), 512, 0, "tillway", 0, vfsOpen, vfsDelete, vfsAccess, vfsFullPathname, vfsDlOpen, vfsDlError,
  vfsDlSym, vfsDlClose, vfsRandomness, vfsSleep, vfsCurrentTime, vfsLastError, vfsCurrentTimeInt64, 0, 0, 0,
};

void vfsSeed(u64 seed) {
  chanceSeed(&randomness, seed);
  /* SQLite's own generator takes its seed anew from the default VFS. */
  sqlite3_randomness(0, 0);
}

int vfsRegister(int makeDefault) {
  if (!systemVfs) {
    systemVfs = sqlite3_vfs_find(0);
    if (!systemVfs) return SQLITE_ERROR;
    if (systemVfs->szOsFile > diskVfs.szOsFile) diskVfs.szOsFile = systemVfs->szOsFile;
    diskVfs.mxPathname = systemVfs->mxPathname;
    chanceSeed(&randomness, 0);
  }
  /* Both are registered; the last one told to be default is. */
  int rc = sqlite3_vfs_register(&diskVfs, makeDefault);
  if (!rc && !makeDefault) rc = sqlite3_vfs_register(systemVfs, 1);
  return rc;
}
