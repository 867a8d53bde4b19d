/* A long line between two TUN devices: delay, rate, loss and a drop-tail queue of one bandwidth-delay product.
 *
 *   emulator DEVICE_A DEVICE_B ONE_WAY_US BYTES_PER_SECOND LOSS_PER_MILLION SEED
 *
 * It makes both devices, says "ready" on its output, and carries packets until its input ends. The devices may be moved
 * to other network namespaces after "ready": the open files stay valid.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET 2048
#define SLOTS 65536

struct packet { uint64_t due; uint32_t size; unsigned char bytes[PACKET]; };
struct way { int from, to; struct packet *ring; uint32_t head, tail; uint64_t busy_until, carried, dropped, lost; };

static uint64_t state;

static uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

/* xorshift64*: the same losses for the same seed and traffic. */
static uint32_t draw(void) {
    state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ull) >> 32) % 1000000u;
}

static int device(const char *name) {
    struct ifreq request = {0};
    int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (file < 0) { perror("/dev/net/tun"); exit(1); }
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(file, TUNSETIFF, &request) < 0) { perror("TUNSETIFF"); exit(1); }
    return file;
}

/* Take what the sender has put in: each packet leaves when the line is free, and arrives one delay later. */
static void take(struct way *way, uint64_t delay, double ns_per_byte, uint64_t queue_ns, uint32_t loss) {
    for (int count = 0; count < 64; count++) {
        struct packet *slot = &way->ring[way->head % SLOTS];
        if (way->head - way->tail >= SLOTS) return;
        ssize_t size = read(way->from, slot->bytes, PACKET);
        if (size <= 0) return;
        uint64_t now = now_ns();
        if (way->busy_until < now) way->busy_until = now;
        if (way->busy_until - now > queue_ns) { way->dropped++; continue; }
        way->busy_until += (uint64_t)((double)size * ns_per_byte);
        if (loss && draw() < loss) { way->lost++; continue; }
        slot->size = (uint32_t)size;
        slot->due = way->busy_until + delay;
        way->head++;
        way->carried += (uint64_t)size;
    }
}

static void give(struct way *way) {
    uint64_t now = now_ns();
    while (way->tail != way->head) {
        struct packet *slot = &way->ring[way->tail % SLOTS];
        if (slot->due > now) return;
        if (write(way->to, slot->bytes, slot->size) < 0 && errno == EAGAIN) return;
        way->tail++;
    }
}

int main(int count, char **words) {
    if (count != 7) { fprintf(stderr, "usage: see the head of line_emulator.c\n"); return 2; }
    uint64_t delay = strtoull(words[3], NULL, 10) * 1000ull;
    double rate = atof(words[4]);
    uint32_t loss = (uint32_t)strtoul(words[5], NULL, 10);
    state = strtoull(words[6], NULL, 10) * 2654435769ull + 88172645463325252ull;
    struct way ways[2] = {{0}};
    int one = device(words[1]), two = device(words[2]);
    ways[0].from = ways[1].to = one;
    ways[1].from = ways[0].to = two;
    for (int at = 0; at < 2; at++) {
        ways[at].ring = calloc(SLOTS, sizeof(struct packet));
        if (!ways[at].ring) { perror("calloc"); return 1; }
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd files[3] = {{one, POLLIN, 0}, {two, POLLIN, 0}, {0, POLLIN, 0}};
        uint64_t now = now_ns(), wait = 1000000000ull;
        for (int at = 0; at < 2; at++) {
            if (ways[at].tail == ways[at].head) continue;
            uint64_t due = ways[at].ring[ways[at].tail % SLOTS].due;
            uint64_t left = due > now ? due - now : 0;
            if (left < wait) wait = left;
        }
        struct timespec patience = {(time_t)(wait / 1000000000ull), (long)(wait % 1000000000ull)};
        ppoll(files, 3, &patience, NULL);
        if (files[2].revents) break;
        for (int at = 0; at < 2; at++) {
            take(&ways[at], delay, 1e9 / rate, 2 * delay, loss);
            give(&ways[at]);
        }
    }
    fprintf(stderr, "carried %llu %llu dropped %llu %llu lost %llu %llu\n",
            (unsigned long long)ways[0].carried, (unsigned long long)ways[1].carried,
            (unsigned long long)ways[0].dropped, (unsigned long long)ways[1].dropped,
            (unsigned long long)ways[0].lost, (unsigned long long)ways[1].lost);
    return 0;
}
