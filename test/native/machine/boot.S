# The first sector of a disk: copies what follows it from the disk to 1 MB on, and goes on there with 64-bit addresses that are those of the memory.
# Nothing is answered for: a fault or an interrupt after that ends the machine.

.set SECTORS_AT_ONCE, 64
.set CHUNK, 512 * SECTORS_AT_ONCE
.set KERNEL, 0x100000
.set STACK, 0x7f00000

.section .boot, "ax"
.code16
.globl boot
boot:
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $boot, %sp
  inb $0x92, %al            # addresses of more than 20 bits
  orb $2, %al
  outb %al, $0x92
load:
  movb $0x42, %ah           # reads from the disk
  movb $0x80, %dl
  movw $packet, %si
  int $0x13
  jc failed
  movb $0x87, %ah           # copies to more than 1 MB
  movw $CHUNK / 2, %cx
  movw $copy, %si
  int $0x15
  jc failed
  addl $SECTORS_AT_ONCE, sector
  addl $CHUNK, target
  movl target, %eax
  movw %ax, target_low
  shrl $16, %eax
  movb %al, target_middle
  movb %ah, target_high
  decw chunks
  jnz load
  cli
  lgdt table
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmp $8, $protected
failed:
  cli
  hlt

.code32
protected:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $0x1000, %edi        # three tables for one gigabyte, in pages of 2 MB
  xorl %eax, %eax
  movl $3 * 1024, %ecx
  rep stosl
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x3000, %edi
  movl $0x83, %eax
  movl $512, %ecx
page:
  movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop page
  movl $0x1000, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x40620, %eax        # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
  movl %eax, %cr4
  movl $0xc0000080, %ecx    # EFER.LME
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  andl $~0xc, %eax          # neither EM nor TS
  orl $0x80000002, %eax     # PG and MP
  movl %eax, %cr0
  ljmp $24, $long
.code64
long:
  movl $STACK, %esp
  movl $KERNEL, %eax
  call *%rax

.balign 8
segments:
  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
table:
  .word 31
  .long segments
packet:
  .byte 16, 0
  .word SECTORS_AT_ONCE, 0, 0x1000
sector:
  .long 1, 0
target:
  .long KERNEL
chunks:
  .word 256
copy:
  .quad 0, 0
  .word 0xffff, 0, 0x9301, 0
  .word 0xffff
target_low:
  .word 0
target_middle:
  .byte KERNEL >> 16, 0x93, 0
target_high:
  .byte 0
  .quad 0, 0
  .org 510
  .word 0xaa55

.section .note.GNU-stack, "", @progbits
