// entered ADDRESSES OUT PROGRAM [ARGUMENT...]
//
// Runs a program and writes the addresses of the functions that it enters into OUT, a line each, in the order in which
// they are entered first. ADDRESSES holds where functions begin in the program's file, in hexadecimal, sorted. A breakpoint
// stands at each of them until it is first met. x86_64 Linux; used by tests/order.py.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long *function, base;
static unsigned char *first, *met;
static long functions;

static long find(unsigned long address) {
  long low = 0, high = functions - 1;
  while (low <= high) {
    long middle = (low + high) / 2;
    if (function[middle] == address) return middle;
    if (function[middle] < address) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

static int memory(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR);
  if (fd < 0) perror(path), exit(1);
  return fd;
}

// Puts all breakpoints into a program that was just executed.
static void plant(int pid) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "r");
  if (!maps || !fgets(line, sizeof line, maps)) perror(path), exit(1);
  fclose(maps);
  base = strtoul(line, NULL, 16);
  unsigned long from = function[0], size = function[functions - 1] + 1 - from;
  unsigned char *code = malloc(size);
  int fd = memory(pid);
  if (!code || pread(fd, code, size, base + from) != (ssize_t)size) perror("the program's code"), exit(1);
  for (long i = 0; i < functions; i++) {
    first[i] = code[function[i] - from];
    code[function[i] - from] = 0xcc;
  }
  if (pwrite(fd, code, size, base + from) != (ssize_t)size) perror("the program's code"), exit(1);
  close(fd);
  free(code);
}

// A breakpoint was met: notes it and takes it away. Gives 0 where it is none of these.
static int passed(int pid, FILE *out) {
  struct user_regs_struct registers;
  ptrace(PTRACE_GETREGS, pid, 0, &registers);
  long i = find(registers.rip - 1 - base);
  if (i < 0) return 0;
  if (!met[i]) fprintf(out, "%lx\n", function[i]);
  met[i] = 1;
  int fd = memory(pid);
  if (pwrite(fd, first + i, 1, base + function[i]) != 1) perror("the program's code"), exit(1);
  close(fd);
  registers.rip -= 1;
  ptrace(PTRACE_SETREGS, pid, 0, &registers);
  return 1;
}

int main(int count, char **words) {
  if (count < 4) return fprintf(stderr, "entered ADDRESSES OUT PROGRAM [ARGUMENT...]\n"), 64;
  FILE *in = fopen(words[1], "r"), *out = fopen(words[2], "w");
  if (!in || !out) return perror("entered"), 1;
  unsigned long address;
  while (fscanf(in, "%lx", &address) == 1) {
    function = realloc(function, (functions + 1) * sizeof *function);
    function[functions++] = address;
  }
  first = calloc(functions, 1), met = calloc(functions, 1);

  int status, pid = fork();
  if (!pid) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(words[3], words + 3);
    perror(words[3]), _exit(127);
  }
  waitpid(pid, &status, 0);
  if (!WIFSTOPPED(status)) return 1;
  plant(pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0,
         PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, pid, 0, 0);
  for (;;) {
    int at = waitpid(-1, &status, __WALL);
    if (at < 0) break;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (at == pid) break;
      continue;
    }
    int event = status >> 16, told = WSTOPSIG(status), give = 0;
    if (event == PTRACE_EVENT_EXEC) {
      // The program may execute itself; what another process executes is another program.
      if (at != pid) {
        ptrace(PTRACE_DETACH, at, 0, 0);
        continue;
      }
      plant(pid);
    } else if (!event && told == SIGTRAP) {
      if (!passed(at, out)) give = SIGTRAP;
    } else if (!event && told != SIGSTOP) {
      give = told;
    }
    ptrace(PTRACE_CONT, at, 0, give);
  }
  return fclose(out) ? 1 : 0;
}
