/*
** Disks in memory, whose unsynced bytes are lost, kept or torn at a crash. One thread at a time: the counters and the
** list of volumes belong to the process and are not locked.
*/
#ifndef TILLWAY_DISK_H
#define TILLWAY_DISK_H

#include "sqlite3ext.h"

typedef sqlite3_int64 i64;
typedef sqlite3_uint64 u64;

/* xorshift64*: drawn from for every decision, seeded for every volume, never from the machine. */
typedef struct Chance { u64 state; } Chance;
void chanceSeed(Chance *chance, u64 seed);
u64 chanceNext(Chance *chance);
/* A whole number in [0, limit). */
i64 chanceBelow(Chance *chance, i64 limit);

typedef struct Image {
  unsigned char *data;
  i64 size;
  i64 capacity;
} Image;

/* One change since the last sync. Its bytes lie in the inode's arena. */
typedef struct Change {
  i64 offset;        /* where it was written, or the length that the file was cut to */
  i64 bytes;         /* -1 for a cut */
  i64 arena;         /* where its bytes begin */
} Change;

#define SHM_SLOTS 8

typedef struct Handle Handle;

/* The content of a file, whatever name leads to it. */
typedef struct Inode {
  int references;    /* handles, and directory entries of either kind */
  Image volatile_;   /* what a reader sees */
  Image durable;     /* what is on the platter */
  Change *changes;
  int changeCount, changeCapacity;
  Image arena;
  int sharedLocks;
  Handle *reserved, *pending, *exclusive;
  char **shm;        /* regions of the WAL's index */
  int shmRegions, shmUsers;
  int shmShared[SHM_SLOTS];
  Handle *shmExclusive[SHM_SLOTS];
} Inode;

/* A name in the folder: what it leads to, and what it would lead to after a power cut that forgets the folder's change. */
typedef struct Entry {
  char *name;
  Inode *current;
  Inode *durable;
  struct Entry *next;
} Entry;

typedef struct SnapshotFile {
  char *name;
  Image image;
  struct SnapshotFile *next;
} SnapshotFile;

typedef struct Snapshot {
  char *name;
  SnapshotFile *files;
  struct Snapshot *next;
} Snapshot;

enum FaultKind { FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_SHORT, FAULT_KINDS };

/* All zero: no faults. */
typedef struct Faults {
  i64 crashAtCall;               /* counts every I/O call; the one that reaches zero is the last */
  i64 crashAtChange;             /* counts writes, cuts, syncs, deletions and creations only */
  i64 perMillion[FAULT_KINDS];   /* the chance of each call to fail */
  i64 countdown[FAULT_KINDS];    /* the call that reaches zero fails, once */
  i64 bytesMax;                  /* all files together; 0 is no limit */
} Faults;

typedef struct Stats {
  i64 calls, changes, reads, writes, syncs, cuts, deletions, creations, bytesWritten;
  i64 crashes, firedCrashes, processKills, restores;
  i64 keptChanges, droppedChanges, tornChanges, keptNames, droppedNames;
  i64 readErrors, writeErrors, shortWrites, full;
  i64 syncErrorsPersisted, syncErrorsPending, syncErrorsForgotten;
} Stats;

typedef struct Volume {
  int id;
  int references;    /* the list of volumes, and every open handle */
  int powered;
  int fired;         /* a crash point was reached since the power came on */
  int generation;    /* handles of an earlier one are dead */
  char *prefix;      /* the folder with its closing slash */
  int prefixLength;
  i64 used;          /* bytes of all files, as a reader sees them */
  Entry *entries;
  Snapshot *snapshots;
  Chance chance;
  Faults faults;
  Stats stats;
  struct Volume *next;
} Volume;

/* volumes */
Volume *volumeAdd(const char *folder);
Volume *volumeById(int id);
Volume *volumeOfPath(const char *path);
void volumeRelease(Volume *volume);
void volumeDrop(Volume *volume);
Entry *volumeEntry(Volume *volume, const char *path, int create);
void volumeSyncNames(Volume *volume);

enum CrashKind { CRASH_POWER, CRASH_PROCESS };
int volumeCrash(Volume *volume, u64 seed, enum CrashKind kind);
void volumePower(Volume *volume);
void volumeWipe(Volume *volume);
int volumeSnapshot(Volume *volume, const char *name);
int volumeRestore(Volume *volume, Volume *source, const char *name);
void volumeForget(Volume *volume, const char *name);

/* inodes */
Inode *inodeNew(void);
void inodeRelease(Inode *inode);
int inodeWrite(Volume *volume, Inode *inode, const void *bytes, i64 amount, i64 offset);
int inodeCut(Volume *volume, Inode *inode, i64 size);
int inodeSync(Inode *inode);
/* A sync that failed: some changes may be on the platter. */
int inodeFailSync(Volume *volume, Inode *inode);
void inodeDropShm(Inode *inode);

/* Bytes that all images, arenas and snapshots hold, over all volumes. */
extern i64 diskMemory;
extern i64 diskHandles;

/* Tells whoever listens that a crash point was reached. */
void diskFired(Volume *volume);

/* the VFS */
int vfsRegister(int makeDefault);
void vfsSeed(u64 seed);

/* SQL functions */
int controlRegister(sqlite3 *db);

#endif
