/* Volumes, inodes and what a crash leaves of them. */
#include "disk.h"
#include <stdlib.h>
#include <string.h>

SQLITE_EXTENSION_INIT3

i64 diskMemory = 0;
i64 diskHandles = 0;

static Volume *volumes = 0;
static int lastVolumeId = 0;

/* ---- chance ---- */

void chanceSeed(Chance *chance, u64 seed) {
  /* splitmix64, so that neighbouring seeds do not give neighbouring draws */
  u64 z = seed + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  z ^= z >> 31;
  chance->state = z ? z : 1;
}

u64 chanceNext(Chance *chance) {
  u64 x = chance->state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  chance->state = x;
  return x * 0x2545f4914f6cdd1dULL;
}

i64 chanceBelow(Chance *chance, i64 limit) {
  return (i64)((chanceNext(chance) >> 11) % (u64)limit);
}

static int coin(Chance *chance) { return (int)(chanceNext(chance) >> 63); }

/* ---- images ---- */

static void imageFree(Image *image) {
  diskMemory -= image->capacity;
  free(image->data);
  memset(image, 0, sizeof *image);
}

static int imageReserve(Image *image, i64 size) {
  if (size <= image->capacity) return SQLITE_OK;
  i64 capacity = image->capacity ? image->capacity : 4096;
  while (capacity < size) capacity += capacity < (1 << 20) ? capacity : capacity / 2;
  unsigned char *data = realloc(image->data, (size_t)capacity);
  if (!data) return SQLITE_IOERR_NOMEM;
  diskMemory += capacity - image->capacity;
  image->data = data;
  image->capacity = capacity;
  return SQLITE_OK;
}

static int imageResize(Image *image, i64 size) {
  int rc = imageReserve(image, size);
  if (rc) return rc;
  if (size > image->size) memset(image->data + image->size, 0, (size_t)(size - image->size));
  image->size = size;
  return SQLITE_OK;
}

static int imageWrite(Image *image, const void *bytes, i64 amount, i64 offset) {
  if (offset + amount > image->size) {
    int rc = imageReserve(image, offset + amount);
    if (rc) return rc;
    if (offset > image->size) memset(image->data + image->size, 0, (size_t)(offset - image->size));
    image->size = offset + amount;
  }
  memcpy(image->data + offset, bytes, (size_t)amount);
  return SQLITE_OK;
}

static int imageCopy(Image *to, const Image *from) {
  to->size = 0;
  return from->size ? imageWrite(to, from->data, from->size, 0) : SQLITE_OK;
}

/* ---- inodes ---- */

/* Beyond this the oldest changes reach the platter by themselves, as an operating system writes back. */
#define PENDING_BYTES_MAX (64 << 20)
/* An arena that grew beyond this in one burst is given back. */
#define ARENA_KEPT_MAX (1 << 20)

Inode *inodeNew(void) { return calloc(1, sizeof(Inode)); }

void inodeDropShm(Inode *inode) {
  for (int region = 0; region < inode->shmRegions; region += 1) free(inode->shm[region]);
  free(inode->shm);
  inode->shm = 0;
  inode->shmRegions = 0;
}

static void inodeFreeContent(Inode *inode) {
  imageFree(&inode->volatile_);
  imageFree(&inode->durable);
  imageFree(&inode->arena);
  free(inode->changes);
  inode->changes = 0;
  inode->changeCount = inode->changeCapacity = 0;
}

void inodeRelease(Inode *inode) {
  if (!inode || --inode->references > 0) return;
  inodeFreeContent(inode);
  inodeDropShm(inode);
  free(inode);
}

static void forgetChanges(Inode *inode) {
  inode->changeCount = 0;
  inode->arena.size = 0;
  if (inode->arena.capacity > ARENA_KEPT_MAX) imageFree(&inode->arena);
}

static int note(Inode *inode, i64 offset, i64 bytes, const void *data) {
  if (inode->changeCount == inode->changeCapacity) {
    int capacity = inode->changeCapacity ? inode->changeCapacity * 2 : 16;
    Change *changes = realloc(inode->changes, sizeof(Change) * (size_t)capacity);
    if (!changes) return SQLITE_IOERR_NOMEM;
    inode->changes = changes;
    inode->changeCapacity = capacity;
  }
  Change *change = &inode->changes[inode->changeCount];
  change->offset = offset;
  change->bytes = bytes;
  change->arena = inode->arena.size;
  if (bytes > 0) {
    int rc = imageWrite(&inode->arena, data, bytes, inode->arena.size);
    if (rc) return rc;
  }
  inode->changeCount += 1;
  return SQLITE_OK;
}

int inodeWrite(Volume *volume, Inode *inode, const void *bytes, i64 amount, i64 offset) {
  i64 size = inode->volatile_.size;
  int rc = SQLITE_OK;
  if (inode->arena.size > PENDING_BYTES_MAX) rc = inodeSync(inode);
  if (!rc) rc = imageWrite(&inode->volatile_, bytes, amount, offset);
  if (!rc) rc = note(inode, offset, amount, bytes);
  volume->used += inode->volatile_.size - size;
  volume->stats.bytesWritten += amount;
  return rc;
}

int inodeCut(Volume *volume, Inode *inode, i64 size) {
  volume->used += size - inode->volatile_.size;
  int rc = imageResize(&inode->volatile_, size);
  return rc ? rc : note(inode, size, -1, 0);
}

static int apply(Inode *inode, const Change *change, Image *to) {
  if (change->bytes < 0) return imageResize(to, change->offset);
  return imageWrite(to, inode->arena.data + change->arena, change->bytes, change->offset);
}

int inodeSync(Inode *inode) {
  for (int at = 0; at < inode->changeCount; at += 1) {
    int rc = apply(inode, &inode->changes[at], &inode->durable);
    if (rc) return rc;
  }
  forgetChanges(inode);
  return SQLITE_OK;
}

/*
** What a failed fsync leaves is one of three: all is on the platter and only the answer was lost; nothing is yet, and a
** later sync will do it; or the kernel dropped what it could not write and calls those pages clean, so that readers see
** bytes that no later sync writes and the next power cut takes away.
*/
int inodeFailSync(Volume *volume, Inode *inode) {
  switch (chanceBelow(&volume->chance, 3)) {
    case 0:
      volume->stats.syncErrorsPersisted += 1;
      return inodeSync(inode);
    case 1:
      volume->stats.syncErrorsPending += 1;
      return SQLITE_OK;
    default:
      volume->stats.syncErrorsForgotten += 1;
      for (int at = 0; at < inode->changeCount; at += 1) {
        if (coin(&volume->chance)) continue;
        int rc = apply(inode, &inode->changes[at], &inode->durable);
        if (rc) return rc;
      }
      forgetChanges(inode);
      return SQLITE_OK;
  }
}

/* ---- volumes ---- */

Volume *volumeAdd(const char *folder) {
  Volume *volume = calloc(1, sizeof(Volume));
  if (!volume) return 0;
  size_t length = strlen(folder);
  volume->prefix = malloc(length + 2);
  if (!volume->prefix) {
    free(volume);
    return 0;
  }
  memcpy(volume->prefix, folder, length);
  if (length == 0 || folder[length - 1] != '/') volume->prefix[length++] = '/';
  volume->prefix[length] = 0;
  volume->prefixLength = (int)length;
  volume->id = ++lastVolumeId;
  volume->references = 1;
  volume->powered = 1;
  chanceSeed(&volume->chance, 0);
  volume->next = volumes;
  volumes = volume;
  return volume;
}

Volume *volumeById(int id) {
  Volume *volume = volumes;
  while (volume && volume->id != id) volume = volume->next;
  return volume;
}

Volume *volumeOfPath(const char *path) {
  if (!path) return 0;
  for (Volume *volume = volumes; volume; volume = volume->next) {
    if (strncmp(path, volume->prefix, (size_t)volume->prefixLength) == 0) return volume;
  }
  return 0;
}

void volumeRelease(Volume *volume) {
  if (--volume->references > 0) return;
  free(volume->prefix);
  free(volume);
}

Entry *volumeEntry(Volume *volume, const char *path, int create) {
  const char *name = path + volume->prefixLength;
  for (Entry *entry = volume->entries; entry; entry = entry->next) {
    if (strcmp(entry->name, name) == 0) return entry;
  }
  if (!create) return 0;
  Entry *entry = calloc(1, sizeof(Entry));
  if (!entry) return 0;
  entry->name = strdup(name);
  if (!entry->name) {
    free(entry);
    return 0;
  }
  /* At the end, so that a crash draws for the files in the order of their making. */
  Entry **last = &volume->entries;
  while (*last) last = &(*last)->next;
  *last = entry;
  return entry;
}

void volumeSyncNames(Volume *volume) {
  for (Entry *entry = volume->entries; entry; entry = entry->next) {
    if (entry->durable == entry->current) continue;
    inodeRelease(entry->durable);
    entry->durable = entry->current;
    if (entry->durable) entry->durable->references += 1;
  }
}

static void freeEntries(Volume *volume) {
  for (Entry *entry = volume->entries, *next; entry; entry = next) {
    next = entry->next;
    /* Handles may outlive their file; what they can no longer read need not. */
    if (entry->current) inodeFreeContent(entry->current);
    if (entry->durable) inodeFreeContent(entry->durable);
    inodeRelease(entry->current);
    inodeRelease(entry->durable);
    free(entry->name);
    free(entry);
  }
  volume->entries = 0;
  volume->used = 0;
}

static void freeSnapshotFiles(SnapshotFile *file) {
  for (SnapshotFile *next; file; file = next) {
    next = file->next;
    imageFree(&file->image);
    free(file->name);
    free(file);
  }
}

void volumeForget(Volume *volume, const char *name) {
  for (Snapshot **at = &volume->snapshots; *at;) {
    Snapshot *snapshot = *at;
    if (name && strcmp(snapshot->name, name) != 0) {
      at = &snapshot->next;
      continue;
    }
    *at = snapshot->next;
    freeSnapshotFiles(snapshot->files);
    free(snapshot->name);
    free(snapshot);
  }
}

void volumeDrop(Volume *volume) {
  Volume **at = &volumes;
  while (*at && *at != volume) at = &(*at)->next;
  if (*at) *at = volume->next;
  volume->generation += 1;
  volume->powered = 0;
  freeEntries(volume);
  volumeForget(volume, 0);
  volumeRelease(volume);
}

void volumePower(Volume *volume) {
  volume->powered = 1;
  volume->fired = 0;
}

void volumeWipe(Volume *volume) {
  volume->generation += 1;
  freeEntries(volume);
}

/* ---- crash ---- */

/* How one crash treats what was not synced. */
enum Fate { FATE_DROP_ALL, FATE_KEEP_ALL, FATE_KEEP_FIRST, FATE_EACH_FOR_ITSELF };

static enum Fate drawFate(Chance *chance) {
  switch (chanceBelow(chance, 8)) {
    case 0:
    case 1:
      return FATE_DROP_ALL;
    case 2:
      return FATE_KEEP_ALL;
    case 3:
      return FATE_KEEP_FIRST;
    default:
      return FATE_EACH_FOR_ITSELF;
  }
}

/* Some sectors of a write, each for itself. */
static int applyTorn(Volume *volume, Inode *inode, const Change *change, Image *to) {
  i64 sector = coin(&volume->chance) ? 512 : 4096;
  i64 end = change->offset + change->bytes;
  for (i64 from = change->offset; from < end;) {
    i64 until = (from / sector + 1) * sector;
    if (until > end) until = end;
    if (coin(&volume->chance)) {
      const unsigned char *bytes = inode->arena.data + change->arena + (from - change->offset);
      int rc = imageWrite(to, bytes, until - from, from);
      if (rc) return rc;
    }
    from = until;
  }
  return SQLITE_OK;
}

static int applyEachForItself(Volume *volume, Inode *inode) {
  for (int at = 0; at < inode->changeCount; at += 1) {
    const Change *change = &inode->changes[at];
    int rc = SQLITE_OK;
    i64 fate = chanceBelow(&volume->chance, 8);
    if (fate < 3) {
      volume->stats.droppedChanges += 1;
    } else if (fate < 6 || change->bytes < 0) {
      volume->stats.keptChanges += 1;
      rc = apply(inode, change, &inode->durable);
    } else {
      volume->stats.tornChanges += 1;
      rc = applyTorn(volume, inode, change, &inode->durable);
    }
    if (rc) return rc;
  }
  return SQLITE_OK;
}

/* Brings the durable image to what the crash left, and forgets the changes. */
static int resolve(Volume *volume, Inode *inode, enum Fate fate) {
  int kept = fate == FATE_KEEP_ALL ? inode->changeCount : 0;
  int rc = SQLITE_OK;
  if (fate == FATE_KEEP_FIRST) kept = (int)chanceBelow(&volume->chance, inode->changeCount + 1);
  if (fate == FATE_EACH_FOR_ITSELF) {
    rc = applyEachForItself(volume, inode);
  } else {
    for (int at = 0; at < kept && !rc; at += 1) rc = apply(inode, &inode->changes[at], &inode->durable);
    volume->stats.keptChanges += kept;
    volume->stats.droppedChanges += inode->changeCount - kept;
  }
  forgetChanges(inode);
  return rc;
}

/* A process that dies takes nothing of the operating system's cache with it: a reader sees the same as before. */
static int keepVolatile(Inode *inode, Inode *next) {
  next->volatile_ = inode->volatile_;
  next->durable = inode->durable;
  next->arena = inode->arena;
  next->changes = inode->changes;
  next->changeCount = inode->changeCount;
  next->changeCapacity = inode->changeCapacity;
  memset(&inode->volatile_, 0, sizeof(Image));
  memset(&inode->durable, 0, sizeof(Image));
  memset(&inode->arena, 0, sizeof(Image));
  inode->changes = 0;
  inode->changeCount = inode->changeCapacity = 0;
  return SQLITE_OK;
}

static int keepDurable(Inode *inode, Inode *next) {
  next->durable = inode->durable;
  memset(&inode->durable, 0, sizeof(Image));
  /* The old buffer is taken over: no reader is left. */
  next->volatile_ = inode->volatile_;
  memset(&inode->volatile_, 0, sizeof(Image));
  return imageCopy(&next->volatile_, &next->durable);
}

/* Both names of an entry lead to this inode from now on. */
static void rename_(Entry *entry, Inode *inode) {
  Inode *current = entry->current, *durable = entry->durable;
  entry->current = entry->durable = inode;
  if (inode) inode->references += 2;
  inodeRelease(current);
  inodeRelease(durable);
}

static void dropNamelessEntries(Volume *volume) {
  volume->used = 0;
  for (Entry **at = &volume->entries; *at;) {
    Entry *entry = *at;
    if (entry->current) {
      volume->used += entry->current->volatile_.size;
      at = &entry->next;
      continue;
    }
    *at = entry->next;
    free(entry->name);
    free(entry);
  }
}

static int crashEntry(Volume *volume, Entry *entry, enum Fate fate) {
  Inode *chosen = entry->current;
  if (entry->current != entry->durable) {
    int keeps = fate == FATE_KEEP_ALL || (fate != FATE_DROP_ALL && coin(&volume->chance));
    if (keeps) volume->stats.keptNames += 1;
    else volume->stats.droppedNames += 1;
    if (!keeps) chosen = entry->durable;
  }
  Inode *next = 0;
  int rc = SQLITE_OK;
  if (chosen) {
    next = inodeNew();
    if (!next) return SQLITE_NOMEM;
    rc = resolve(volume, chosen, fate);
    if (!rc) rc = keepDurable(chosen, next);
  }
  if (entry->current) inodeFreeContent(entry->current);
  if (entry->durable) inodeFreeContent(entry->durable);
  rename_(entry, next);
  return rc;
}

static int killEntry(Entry *entry) {
  if (!entry->current) return SQLITE_OK;
  Inode *next = inodeNew();
  if (!next) return SQLITE_NOMEM;
  Inode *old = entry->current;
  int rc = keepVolatile(old, next);
  next->references = 1;
  entry->current = next;
  if (entry->durable == old) {
    entry->durable = next;
    next->references += 1;
    inodeRelease(old);
  }
  inodeRelease(old);
  return rc;
}

int volumeCrash(Volume *volume, u64 seed, enum CrashKind kind) {
  int rc = SQLITE_OK;
  volume->generation += 1;
  volume->powered = 0;
  if (kind == CRASH_PROCESS) {
    volume->stats.processKills += 1;
    for (Entry *entry = volume->entries; entry && !rc; entry = entry->next) rc = killEntry(entry);
    return rc;
  }
  volume->stats.crashes += 1;
  chanceSeed(&volume->chance, seed);
  enum Fate fate = drawFate(&volume->chance);
  for (Entry *entry = volume->entries; entry && !rc; entry = entry->next) rc = crashEntry(volume, entry, fate);
  dropNamelessEntries(volume);
  return rc;
}

/* ---- snapshots ---- */

int volumeSnapshot(Volume *volume, const char *name) {
  volumeForget(volume, name);
  Snapshot *snapshot = calloc(1, sizeof(Snapshot));
  if (!snapshot) return SQLITE_NOMEM;
  snapshot->name = strdup(name);
  snapshot->next = volume->snapshots;
  volume->snapshots = snapshot;
  SnapshotFile **last = &snapshot->files;
  for (Entry *entry = volume->entries; entry; entry = entry->next) {
    if (!entry->current) continue;
    SnapshotFile *file = calloc(1, sizeof(SnapshotFile));
    if (!file) return SQLITE_NOMEM;
    file->name = strdup(entry->name);
    *last = file;
    last = &file->next;
    int rc = imageCopy(&file->image, &entry->current->volatile_);
    if (rc) return rc;
  }
  return SQLITE_OK;
}

int volumeRestore(Volume *volume, Volume *source, const char *name) {
  Snapshot *snapshot = source->snapshots;
  while (snapshot && strcmp(snapshot->name, name) != 0) snapshot = snapshot->next;
  if (!snapshot) return SQLITE_NOTFOUND;
  volumeWipe(volume);
  volume->stats.restores += 1;
  for (SnapshotFile *file = snapshot->files; file; file = file->next) {
    Entry *entry = calloc(1, sizeof(Entry));
    Inode *inode = inodeNew();
    if (!entry || !inode) return SQLITE_NOMEM;
    entry->name = strdup(file->name);
    Entry **last = &volume->entries;
    while (*last) last = &(*last)->next;
    *last = entry;
    rename_(entry, inode);
    int rc = imageCopy(&inode->volatile_, &file->image);
    if (!rc) rc = imageCopy(&inode->durable, &file->image);
    if (rc) return rc;
    volume->used += file->image.size;
  }
  return SQLITE_OK;
}
