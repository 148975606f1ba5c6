#!/usr/bin/env python3
"""Writes data/filter/demo-raw.jsonl: a small raw corpus, English and Chinese, with everything that ds-filter is for.

All sentences were written for dstools (MIT). Good records are ten sentences of one language in random order; the rest are
made bad on purpose: too short, menus, repeated lines, mojibake, another language, spam, personal data, exact and near
duplicates, lines that are no JSON. Deterministic.
"""
import json, pathlib, random

EN = """A file system stores the names of files in directories, and each name points to an inode.
The kernel decides which process may run next and how long it may keep the processor.
When a package is upgraded, its configuration files are kept unless the administrator asks for new ones.
You can list the partitions of a disk with a single command before you change any of them.
The installer detects most network cards and loads the module that drives them.
A shell reads one line at a time, splits it into words and starts the program that was named.
If the archive cannot be reached, the tool tries the next mirror in the list.
Variables that were exported are visible to every program that the shell starts.
The manual page of a command describes its options, its files and its exit status.
A signal interrupts the program, which may catch it, ignore it or end.
To keep the database consistent, a transaction is either written as a whole or not at all.
The compiler translates each source file into an object file that the linker joins with the libraries.
Unless the port is blocked by a firewall, the server will answer within a second.
Regular expressions describe sets of strings, and some engines match them in linear time.
The user interface was translated by volunteers who speak the language at home.
An address on the network belongs to an interface, not to the machine that holds it.
Backups that were never restored should not be trusted with anything of value.
The scheduler keeps a queue of tasks that wait for the disk or for the network.
With the default settings, log files are rotated once a week and compressed.
A library that changes its interface must change its version number, too.
Memory that a process has freed can be given to another one at once.
The documentation of the module lists each function with its arguments and errors.
To install the system on a machine without a screen, connect to it through a serial console.
Every user has an account, a home directory and a group of the same name.
The time that a request waits in the queue is part of the latency that people see.
Encrypted partitions ask for a passphrase when the system starts.""".split("\n")
ZH = """文件系统把文件名保存在目录中，每个文件名都指向一个索引节点。
内核决定下一个运行的进程，并控制它可以占用处理器的时间。
升级软件包时，除非管理员要求使用新的版本，否则原来的配置文件会被保留。
在修改磁盘分区之前，您可以用一条命令列出所有的分区。
安装程序会检测大多数网卡，并加载相应的驱动模块。
命令解释器每次读取一行，把它拆分为单词，然后启动指定的程序。
如果无法连接软件仓库，工具会尝试列表中的下一个镜像站点。
被导出的环境变量对命令解释器启动的所有程序都是可见的。
命令的手册页描述了它的选项、相关文件以及退出状态。
信号会中断程序的执行，程序可以捕获信号，也可以忽略信号。
为了保持数据库的一致性，一个事务要么全部写入，要么完全不写入。
编译器把每个源文件翻译成目标文件，链接器再把它们和函数库连接起来。
除非端口被防火墙阻止，否则服务器会在一秒之内作出响应。
正则表达式描述了字符串的集合，有些引擎可以在线性时间内完成匹配。
用户界面由志愿者翻译，他们的母语就是这种语言。
网络地址属于网络接口，而不是属于拥有该接口的计算机。
从来没有恢复过的备份是不值得信任的，请定期检查备份文件。
调度程序维护一个任务队列，其中的任务正在等待磁盘或者网络。
在默认设置下，日志文件每周轮换一次，并且会被压缩保存。
函数库如果改变了接口，就必须同时改变它的版本号。
进程释放的内存可以立即分配给另外一个进程使用。
模块的文档列出了每个函数的参数以及可能返回的错误。
如果要在没有显示器的计算机上安装系统，请通过串口控制台进行连接。
每个用户都有一个帐号、一个主目录和一个与用户同名的用户组。
请求在队列中等待的时间也是用户所感受到的延迟的一部分。
加密的分区会在系统启动的时候要求用户输入密码。""".split("\n")
SPAM = ["Get 200 free spins at our online casino today, no deposit bonus for new players!", "Buy cocaine online with discreet shipping, order heroin and pay with bitcoin.",
        "Hot naked girls waiting for you on live sex cams, free porn videos every day."]
SPAM_ZH = ["網上賭場首選，註冊送彩金八十八元，真人百家樂。", "出售冰毒，纯度高，货到付款，加微信。", "最新色·情·视·频免费观看，美女裸聊等你来。"]
rng = random.Random(2024)
lines = []


def put(text, **more):
    lines.append(json.dumps({"id": f"demo-{len(lines):04d}", "text": text, **more}, ensure_ascii=False))


def good(pool, joint): return joint.join(rng.sample(pool, 11))


for i in range(240):
    en = i % 2 == 0
    pool, joint = (EN, " ") if en else (ZH, "")
    text = good(pool, joint)
    kind = i % 24
    if kind in (2, 3): put(text); put(text.upper() if en else text)                                   # exact, after normalising
    elif kind in (4, 5): put(text); put(text.replace("network", "wireless network", 1) + joint + pool[0])  # near
    elif kind == 6: put(text + " Write to " + f"jane.doe{i}@mail.example.org or call +1 415 555 {2000 + i}.")
    elif kind == 7: put(text + f"如有疑问请联系 admin{i}@example.cn，手机 1381234{5000 + i}，身份证 11010519491231002X。")
    elif kind == 8: put(text + " " + rng.choice(SPAM))
    elif kind == 9: put(text + rng.choice(SPAM_ZH))
    elif kind == 10: put("\n".join(["Home", "Products", "Support", "Contact", "Login", "Sitemap", "Imprint"] * 9))
    elif kind == 11: put("\n".join(["首页", "产品", "下载", "论坛", "联系我们"] * 12))
    elif kind == 12: put(text[:120])
    elif kind == 13: put(text[:30])
    elif kind == 14: put(text.encode().decode("latin-1") + " cafÃ© naÃ¯ve rÃ©sumÃ© Ã¼ber straÃŸe " * 6)
    elif kind == 15: put(text.replace("，", "锟斤拷"))
    elif kind == 16: put("Der schnelle braune Fuchs springt über den faulen Hund, und das ist ein deutscher Satz, der nicht englisch ist. " * 6)
    elif kind == 17: put((pool[3] + "\n") * 14)
    elif kind == 18: put(text, url="http://spam.example.com/page")
    elif kind == 19: lines.append('{"id": "broken", "text": "' + text[:40])
    elif kind == 20: put(" ".join("lorem ipsum dolor sit amet consectetur adipiscing elit sed do".split() * 8) + ".")
    else: put(text)
path = pathlib.Path(__file__).resolve().parents[2] / "data" / "filter" / "demo-raw.jsonl"
path.write_text("\n".join(lines) + "\n", encoding="utf-8")
print(len(lines), "lines,", path.stat().st_size, "bytes")
